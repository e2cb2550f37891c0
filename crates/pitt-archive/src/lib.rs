//! pitt-archive
