//! Packets as others read them, and the sky they tell of.

mod bytes;
mod decode;
mod reference;
mod schemas;
mod sky;
