//! "Did you mean": the nearest known name by edit distance.

/// The name in `known` nearest to `word`, if any is near enough to be a slip of the keyboard.
///
/// Compares without case. A name counts as near when at most a third of its letters (at least one, at most
/// four) have to be changed, added, dropped or swapped. A nested name also counts by its last part alone, so
/// that `magpsf` suggests `candidate.magpsf`.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let word_last = last_part(&word);
    let mut best: Option<(usize, &str)> = None;
    for name in known {
        let lower = name.to_lowercase();
        let whole = distance(&word, &lower);
        let by_part = (last_part(&lower) != lower || word_last != word)
            .then(|| distance(word_last, last_part(&lower)) + 1);
        let found = by_part.map_or(whole, |part| part.min(whole));
        let bound = (word.chars().count() / 3).clamp(1, 4);
        if found <= bound && best.is_none_or(|(known_best, _)| found < known_best) {
            best = Some((found, name));
        }
    }
    best.map(|(_, name)| name)
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Edit distance with swaps of neighbours (optimal string alignment). Long words are not compared.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(128).collect();
    let right: Vec<char> = right.chars().take(128).collect();
    if left.len().abs_diff(right.len()) > 4 {
        return usize::MAX / 2;
    }
    let width = right.len() + 1;
    let mut before: Vec<usize> = vec![0; width];
    let mut row: Vec<usize> = (0..width).collect();
    for (i, a) in left.iter().enumerate() {
        let mut next = vec![i + 1; width];
        for (j, b) in right.iter().enumerate() {
            let change = row[j] + usize::from(a != b);
            next[j + 1] = change.min(row[j + 1] + 1).min(next[j] + 1);
            let swapped = i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b;
            if swapped {
                next[j + 1] = next[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut row, next);
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_last_parts_and_leaves_strangers_alone() {
        let known = ["candidate.magpsf", "candidate.sigmapsf", "psf_flux", "band"];
        assert_eq!(nearest("candidate.magpfs", known), Some("candidate.magpsf"));
        assert_eq!(nearest("magpsf", known), Some("candidate.magpsf"));
        assert_eq!(nearest("psf_fluxx", known), Some("psf_flux"));
        assert_eq!(nearest("altitude", known), None);
    }
}
