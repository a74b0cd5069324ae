//! How texts are compared: the collations of SQLite that keys can be ordered by.

/// A collation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collation {
    /// By bytes.
    #[default]
    Binary,
    /// Letters of ASCII without regard to case.
    NoCase,
    /// Without regard to spaces at the end.
    RTrim,
}

impl Collation {
    const ALL: [Collation; 3] = [Collation::Binary, Collation::NoCase, Collation::RTrim];

    /// The collation of that name.
    pub fn from_name(name: &str) -> Option<Collation> {
        let mut all = Collation::ALL.into_iter();
        all.find(|collation| collation.name().eq_ignore_ascii_case(name))
    }

    /// SQLite's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Collation::Binary => "BINARY",
            Collation::NoCase => "NOCASE",
            Collation::RTrim => "RTRIM",
        }
    }

    /// Whether texts that are equal under this one are so under `other`.
    pub fn decides(self, other: Collation) -> bool {
        self == Collation::Binary || self == other
    }
}
