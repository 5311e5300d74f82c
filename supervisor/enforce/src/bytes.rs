//! Arguments, variables and paths in the plan's text: a string where they are UTF-8, else the
//! bytes as numbers, so that nothing is altered on the way to the agent.

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

#[derive(serde::Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Stored {
    Text(String),
    Bytes(Vec<u8>),
}

fn shown(text: &OsStr) -> Shown<'_> {
    text.to_str()
        .map_or_else(|| Shown::Bytes(text.as_bytes()), Shown::Text)
}

impl Stored {
    fn taken(self) -> OsString {
        match self {
            Self::Text(text) => text.into(),
            Self::Bytes(bytes) => OsString::from_vec(bytes),
        }
    }
}

/// One path.
pub mod path {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Stored, shown};
    use std::path::{Path, PathBuf};

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        shown(path.as_os_str()).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Stored::deserialize(from).map(|s| s.taken().into())
    }
}

/// What is known of each path, as a list of pairs: a name of an object would have to be text.
pub mod map {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Stored, shown};
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    pub fn serialize<S: Serializer, V: Serialize>(
        map: &BTreeMap<PathBuf, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map.iter().map(|(path, v)| (shown(path.as_os_str()), v)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
        from: D,
    ) -> Result<BTreeMap<PathBuf, V>, D::Error> {
        let stored = Vec::<(Stored, V)>::deserialize(from)?;
        let pair = |(path, v): (Stored, V)| (path.taken().into(), v);
        Ok(stored.into_iter().map(pair).collect())
    }
}

/// A list of arguments.
pub mod list {
    use super::{Deserialize, Deserializer, OsString, Serializer, Stored, shown};

    pub fn serialize<S: Serializer>(list: &[OsString], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(|a| shown(a)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<OsString>, D::Error> {
        let stored = Vec::<Stored>::deserialize(from)?;
        Ok(stored.into_iter().map(Stored::taken).collect())
    }
}

/// Names with their values.
pub mod pairs {
    use super::{Deserialize, Deserializer, OsString, Serializer, Stored, shown};

    type Pair = (OsString, OsString);

    pub fn serialize<S: Serializer>(pairs: &[Pair], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(
            pairs
                .iter()
                .map(|(name, value)| (shown(name), shown(value))),
        )
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Pair>, D::Error> {
        let stored = Vec::<(Stored, Stored)>::deserialize(from)?;
        let pair = |(name, value): (Stored, Stored)| (name.taken(), value.taken());
        Ok(stored.into_iter().map(pair).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct All {
        #[serde(with = "path")]
        path: PathBuf,
        #[serde(with = "list")]
        list: Vec<OsString>,
        #[serde(with = "pairs")]
        pairs: Vec<(OsString, OsString)>,
        #[serde(with = "map")]
        map: BTreeMap<PathBuf, u8>,
    }

    #[test]
    fn bytes_come_back_unchanged_and_text_stays_readable() {
        let odd = || OsString::from_vec(b"a\xff\n".to_vec());
        let all = All {
            path: odd().into(),
            list: vec![odd(), "ü".into()],
            pairs: vec![("NAME".into(), odd()), (odd(), "".into())],
            map: [(odd().into(), 1), ("b".into(), 2)].into(),
        };
        let text = serde_json::to_string(&all).unwrap();
        assert!(text.contains("[[97,255,10],\"ü\"]"), "{text}");
        assert_eq!(serde_json::from_str::<All>(&text).unwrap(), all);
    }
}
