//! pitt-alert
