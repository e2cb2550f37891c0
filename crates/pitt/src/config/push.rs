//! `[push]`: where webhooks may go.

use serde::Deserialize;

/// `[push]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushSettings {
    /// Whether webhooks may go to this machine and to private networks.
    pub allow_private: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_default_file() {
        let config = crate::config::Config::load(None, |_| None, vec![]).unwrap();
        assert_eq!(config.settings.push, PushSettings::default());
    }
}
