//! Packets as others read them.
