//! pitt-simulate
