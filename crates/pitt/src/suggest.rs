//! "Did you mean": the nearest of the words that would have been right.

/// The candidate most like `word`, if any is like enough to be a slip of the hand.
///
/// ```
/// assert_eq!(pitt::suggest::nearest("pipline", ["pipeline", "commit"]), Some("pipeline"));
/// assert_eq!(pitt::suggest::nearest("zebra", ["pipeline", "commit"]), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint of an error: `` (did you mean `pipeline`?) `` with a space before it, or nothing.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates)
        .map_or_else(String::new, |right| format!(" (did you mean `{right}`?)"))
}
