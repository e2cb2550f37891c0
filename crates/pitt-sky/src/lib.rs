//! pitt-sky
