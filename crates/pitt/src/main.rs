//! pitt
fn main() {}
