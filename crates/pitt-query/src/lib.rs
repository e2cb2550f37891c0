//! pitt-query
