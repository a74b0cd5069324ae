//! A range of keys: from a key on, up to but without another.

use crate::key::{Key, successor_of_prefix};

/// `lower <= key < upper`; a missing bound is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that can be inside.
    pub lower: Option<Key>,
    /// The first key that is outside again.
    pub upper: Option<Key>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> KeyRange {
        KeyRange::default()
    }

    /// No key.
    pub fn none() -> KeyRange {
        KeyRange {
            lower: Some(Key::from(&[][..])),
            upper: Some(Key::from(&[][..])),
        }
    }

    /// Just this key.
    pub fn point(key: &[u8]) -> KeyRange {
        KeyRange {
            lower: Some(key.into()),
            upper: Some(just_after(key)),
        }
    }

    /// Every key that starts with `prefix`.
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        KeyRange {
            lower: Some(prefix.into()),
            upper: successor_of_prefix(prefix).map(Key::from),
        }
    }

    /// Whether no key can be inside.
    pub fn is_empty(&self) -> bool {
        matches!((&self.lower, &self.upper), (Some(lower), Some(upper)) if lower >= upper)
    }

    /// Whether a key is inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.lower.as_deref().is_none_or(|lower| lower <= key)
            && self.upper.as_deref().is_none_or(|upper| key < upper)
    }

    /// What both have in common.
    pub fn intersect(&self, other: &KeyRange) -> KeyRange {
        let lower = match (&self.lower, &other.lower) {
            (Some(a), Some(b)) => Some(a.max(b).clone()),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        let upper = match (&self.upper, &other.upper) {
            (Some(a), Some(b)) => Some(a.min(b).clone()),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        KeyRange { lower, upper }
    }

    /// Whether `other` lies wholly inside.
    pub fn covers(&self, other: &KeyRange) -> bool {
        let below = match (&self.lower, &other.lower) {
            (None, _) => true,
            (Some(own), Some(its)) => own <= its,
            (Some(_), None) => false,
        };
        let above = match (&self.upper, &other.upper) {
            (None, _) => true,
            (Some(own), Some(its)) => its <= own,
            (Some(_), None) => false,
        };
        below && above
    }

    /// The bounds as std's maps want them.
    pub fn bounds(&self) -> (std::ops::Bound<Key>, std::ops::Bound<Key>) {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        (
            self.lower.clone().map_or(Unbounded, Included),
            self.upper.clone().map_or(Unbounded, Excluded),
        )
    }
}

/// The next key of all: the key and one zero byte.
pub fn just_after(key: &[u8]) -> Key {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_holds_one_key() {
        let point = KeyRange::point(b"ab");
        assert!(point.contains(b"ab"));
        assert!(!point.contains(b"aa") && !point.contains(b"ab\0") && !point.contains(b"a"));
        assert!(!point.is_empty());
    }

    #[test]
    fn an_intersection_is_inside_both() {
        let (a, b) = (
            KeyRange::prefix(b"a"),
            KeyRange {
                lower: Some(b"ab"[..].into()),
                upper: None,
            },
        );
        let both = a.intersect(&b);
        assert!(a.covers(&both) && b.covers(&both) && !both.covers(&a));
        assert!(both.contains(b"ac") && !both.contains(b"aa") && !both.contains(b"b"));
        assert!(both.intersect(&KeyRange::prefix(b"x")).is_empty());
    }
}
