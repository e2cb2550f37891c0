//! Names and shapes of topics.

/// Why a text is no name of a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic `{topic}`: {detail}")]
pub struct TopicNameError {
    /// The text.
    pub topic: String,
    /// What is wrong, and what is allowed.
    pub detail: String,
}

/// Longest name, characters.
const LONGEST: usize = 249;

/// Checks a topic's name by Kafka's rules: letters, digits, `.`, `_` and `-`, at most 249 of them, and not `.` or `..`.
///
/// # Errors
/// What is wrong with it.
pub fn check_topic(topic: &str) -> Result<(), TopicNameError> {
    let wrong = |detail: String| {
        Err(TopicNameError {
            topic: topic.to_owned(),
            detail,
        })
    };
    if topic.is_empty() || topic == "." || topic == ".." {
        return wrong("a name needs a letter or a digit".into());
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(other) = topic.chars().find(|c| !allowed(c)) {
        return wrong(format!(
            "`{other}` cannot be in it (letters, digits, `.`, `_` and `-` can)"
        ));
    }
    if topic.len() > LONGEST {
        return wrong(format!("{} characters, at most {LONGEST}", topic.len()));
    }
    Ok(())
}

/// How a topic is made when it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicShape {
    /// Partitions.
    pub partitions: i32,
    /// Copies; -1 for what the cluster does by itself.
    pub replication: i32,
    /// How long messages are kept `[ms]`; -1 for ever.
    pub retention_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_by_kafkas_rules() {
        for good in ["pitt-bright", "a", "A.b_c-9", &"x".repeat(249)] {
            assert_eq!(check_topic(good), Ok(()));
        }
        let error = |topic: &str| check_topic(topic).unwrap_err().to_string();
        assert_eq!(
            error("pitt-blue stars"),
            "topic `pitt-blue stars`: ` ` cannot be in it (letters, digits, `.`, `_` and `-` can)"
        );
        assert_eq!(error(".."), "topic `..`: a name needs a letter or a digit");
        assert!(error(&"x".repeat(250)).ends_with("250 characters, at most 249"));
    }
}
