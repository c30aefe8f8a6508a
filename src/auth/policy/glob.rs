//! Patterns with `*` and `?`, matched without going back.

use std::collections::HashMap;

/// One part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// `*`: any characters, or none.
    Any,
    /// `?`: any one character.
    One,
    /// This character.
    Char(char),
}

/// What a pattern asks between two stars; none stands for any one character.
type Segment = Vec<Option<char>>;

/// A pattern: what it begins with and, where it has stars, what follows each.
#[derive(Debug, Clone)]
pub(crate) struct Glob {
    first: Segment,
    rest: Vec<Segment>,
}

impl Glob {
    /// The pattern of these parts.
    pub(crate) fn new(tokens: impl IntoIterator<Item = Token>) -> Self {
        let (mut first, mut rest) = (Segment::new(), Vec::new());
        for token in tokens {
            let open = rest.last_mut().unwrap_or(&mut first);
            match token {
                Token::Any => rest.push(Segment::new()),
                Token::One => open.push(None),
                Token::Char(letter) => open.push(Some(letter)),
            }
        }
        // Of stars in a row one is enough.
        let last = rest.pop();
        rest.retain(|segment| !segment.is_empty());
        rest.extend(last);
        Self { first, rest }
    }

    /// The pattern that `text` spells, without regard to the case of ASCII letters where it is
    /// asked in lower case.
    pub(crate) fn spelled(text: &str) -> Self {
        Self::new(text.chars().map(|letter| match letter {
            '*' => Token::Any,
            '?' => Token::One,
            letter => Token::Char(letter),
        }))
    }

    /// Whether the pattern covers the whole of `text`. Each segment is sought where the one before
    /// it ended, as early as it can be: so nothing is tried twice, whatever the pattern.
    pub(crate) fn matches(&self, text: &[char]) -> bool {
        let Some((last, middle)) = self.rest.split_last() else {
            return self.first.len() == text.len() && fits(&self.first, text);
        };
        let Some((head, mut left)) = text.split_at_checked(self.first.len()) else {
            return false;
        };
        if !fits(&self.first, head) {
            return false;
        }
        for segment in middle {
            let Some((_, after)) = end_of(segment, left).and_then(|end| left.split_at_checked(end))
            else {
                return false;
            };
            left = after;
        }
        let tail = left.len().checked_sub(last.len());
        tail.and_then(|from| left.get(from..))
            .is_some_and(|tail| fits(last, tail))
    }

    /// [`Glob::matches`] of a text.
    pub(crate) fn matches_text(&self, text: &str) -> bool {
        self.matches(&text.chars().collect::<Vec<_>>())
    }
}

fn fits(segment: &[Option<char>], text: &[char]) -> bool {
    segment
        .iter()
        .zip(text)
        .all(|(wanted, letter)| wanted.is_none_or(|wanted| wanted == *letter))
}

/// Where the first place of `segment` in `text` ends. All places are tried at once, as bits of a
/// state (the algorithm called shift-and): 64 characters of the pattern for each step.
fn end_of(segment: &[Option<char>], text: &[char]) -> Option<usize> {
    if segment.len() > text.len() {
        return None;
    }
    let words = segment.len().div_ceil(64);
    let mut always = vec![0_u64; words];
    let mut masks: HashMap<char, Vec<u64>> = HashMap::new();
    for (at, wanted) in segment.iter().enumerate() {
        let mask = match wanted {
            None => &mut always,
            Some(letter) => masks.entry(*letter).or_insert_with(|| vec![0; words]),
        };
        if let Some(word) = mask.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }
    for mask in masks.values_mut() {
        mask.iter_mut()
            .zip(&always)
            .for_each(|(word, all)| *word |= all);
    }
    let goal = 1_u64 << (segment.len().checked_sub(1)? % 64);
    let mut state = vec![0_u64; words];
    for (at, letter) in text.iter().enumerate() {
        let mask = masks.get(letter).unwrap_or(&always);
        let mut carry = 1;
        for (word, mask) in state.iter_mut().zip(mask) {
            let out = *word >> 63;
            *word = ((*word << 1) | carry) & mask;
            carry = out;
        }
        if state.last().is_some_and(|word| word & goal != 0) {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The meaning of a pattern, slow and plain.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some(('*', after)), None) => slow(after, text),
            (Some(('*', after)), Some((_, left))) => slow(after, text) || slow(pattern, left),
            (Some(_), None) => false,
            (Some((wanted, after)), Some((letter, left))) => {
                (*wanted == '?' || wanted == letter) && slow(after, left)
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_meaning(pattern in "[ab*?]{0,9}", text in "[ab]{0,12}") {
            let (p, t): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(Glob::spelled(&pattern).matches(&t), slow(&p, &t));
        }

        #[test]
        fn a_long_segment_is_found_wherever_it_is(
            before in "[ab]{0,90}", segment in "[abé]{60,140}", after in "[ab]{0,90}"
        ) {
            let glob = Glob::spelled(&format!("*{segment}*"));
            let text = format!("{before}{segment}{after}");
            prop_assert!(glob.matches_text(&text));
            let longer = Glob::spelled(&format!("*{segment}c*"));
            prop_assert!(!longer.matches_text(&text));
        }
    }

    #[test]
    fn a_question_mark_is_one_character_whatever_its_bytes() {
        assert!(Glob::spelled("a?c").matches_text("aéc"));
        assert!(!Glob::spelled("a?c").matches_text("ac"));
        assert!(Glob::spelled("").matches_text(""));
        assert!(Glob::spelled("***").matches_text(""));
        assert!(!Glob::spelled("").matches_text("a"));
    }

    #[test]
    fn hostile_patterns_take_no_time() {
        let text: Vec<char> = "a".repeat(60_000).chars().collect();
        for pattern in [
            "*a".repeat(5_000) + "b",
            "*".to_owned() + &"?".repeat(10_000) + "b*",
            "*".to_owned() + &"a?".repeat(5_000) + "b*",
        ] {
            assert!(!Glob::spelled(&pattern).matches(&text), "{}", pattern.len());
        }
    }
}
