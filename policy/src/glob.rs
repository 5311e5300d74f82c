//! Path patterns: `*` within a component, `**` across components, variables, `~`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the variables of a policy stand for. Filled by the caller: this crate asks nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub workspaces: Vec<PathBuf>,
    pub home: PathBuf,
    pub tmp: PathBuf,
    pub config: PathBuf,
    pub cache: PathBuf,
    pub runtime: PathBuf,
    pub environment: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GlobError {
    Empty,
    NotAbsolute,
    ParentComponent,
    Nul,
    UnknownVariable(String),
    UnsetVariable(String),
    VariableNotHere(String),
    DoubleStarInside,
}

impl std::fmt::Display for GlobError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => write!(f, "empty path"),
            Self::NotAbsolute => write!(
                f,
                "path is neither absolute nor starts with ~ or a variable"
            ),
            Self::ParentComponent => write!(f, "path contains a `..` component"),
            Self::Nul => write!(f, "path contains a NUL byte"),
            Self::UnknownVariable(name) => write!(f, "unknown variable ${{{name}}}"),
            Self::UnsetVariable(name) => write!(f, "environment variable {name} is not set"),
            Self::VariableNotHere(name) => {
                write!(
                    f,
                    "${{env:{name}}} is allowed in user and system layers only"
                )
            }
            Self::DoubleStarInside => write!(f, "`**` must be a whole component"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Component {
    Literal(String),
    /// Holds at least one `*`.
    Wild(String),
    /// `**`
    Any,
}

/// One absolute pattern. It covers the names it matches and everything below them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glob {
    components: Vec<Component>,
}

/// More is more specific: literal components before the first wildcard, then literal
/// components in all, then length.
pub type Specificity = (usize, usize, usize);

impl Glob {
    /// All absolute patterns that `text` stands for: one for each workspace when it names
    /// `${workspace}` or, with `relative`, no root at all; none when `${env:NAME:-}` is unset.
    pub fn parse(
        text: &str,
        context: &Context,
        env: bool,
        relative: bool,
    ) -> Result<Vec<Self>, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.contains('\0') {
            return Err(GlobError::Nul);
        }
        let rooted = text.starts_with(['/', '~', '$']);
        if !rooted && !relative {
            return Err(GlobError::NotAbsolute);
        }
        let text = if rooted {
            text.to_owned()
        } else {
            format!("${{workspace}}/{text}")
        };
        let mut expanded = vec![String::new()];
        let mut rest = text.as_str();
        if let Some(tail) = rest.strip_prefix('~') {
            if !(tail.is_empty() || tail.starts_with('/')) {
                return Err(GlobError::UnknownVariable(format!(
                    "~{}",
                    tail.split('/').next().unwrap_or("")
                )));
            }
            expanded = vec![show(&context.home)];
            rest = tail;
        }
        while let Some(at) = rest.find("${") {
            let end = rest[at..]
                .find('}')
                .ok_or_else(|| GlobError::UnknownVariable(rest[at + 2..].into()))?
                + at;
            let values = variable(&rest[at + 2..end], context, env)?;
            let before = &rest[..at];
            expanded = expanded
                .iter()
                .flat_map(|e| values.iter().map(move |v| format!("{e}{before}{v}")))
                .collect();
            rest = &rest[end + 1..];
        }
        expanded
            .iter()
            .map(|e| Self::absolute(&format!("{e}{rest}")))
            .collect()
    }

    /// A pattern without variables.
    pub fn absolute(text: &str) -> Result<Self, GlobError> {
        let Some(tail) = text.strip_prefix('/') else {
            return Err(GlobError::NotAbsolute);
        };
        let mut components = Vec::new();
        for part in tail.split('/') {
            components.push(match part {
                "" | "." => continue,
                ".." => return Err(GlobError::ParentComponent),
                "**" => Component::Any,
                p if p.contains("**") => return Err(GlobError::DoubleStarInside),
                p if p.contains('*') => Component::Wild(p.into()),
                p => Component::Literal(p.into()),
            });
        }
        Ok(Self { components })
    }

    pub fn covers(&self, path: &Path) -> bool {
        covers(&self.components, &parts(path))
    }

    pub fn specificity(&self) -> Specificity {
        let literal = |c: &Component| matches!(c, Component::Literal(_));
        (
            self.components.iter().take_while(|c| literal(c)).count(),
            self.components.iter().filter(|c| literal(c)).count(),
            self.to_string().len(),
        )
    }

    /// The path itself when there is no wildcard.
    pub fn literal(&self) -> Option<PathBuf> {
        let (root, rest) = self.split();
        rest.is_empty().then_some(root)
    }

    /// The literal directory from which a walk finds all matches, and whether a wildcard follows.
    pub fn root(&self) -> PathBuf {
        self.split().0
    }

    /// `X/**`: everything below one literal directory.
    pub fn is_tree_below(&self) -> bool {
        matches!(self.split().1, [Component::Any])
    }

    /// Whether a name below `path` can match although `path` does not.
    pub fn reaches_below(&self, path: &Path) -> bool {
        reaches(&self.components, &parts(path))
    }

    fn split(&self) -> (PathBuf, &[Component]) {
        let mut root = PathBuf::from("/");
        for (n, component) in self.components.iter().enumerate() {
            match component {
                Component::Literal(l) => root.push(l),
                Component::Wild(_) | Component::Any => return (root, &self.components[n..]),
            }
        }
        (root, &[])
    }
}

impl std::fmt::Display for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.components.is_empty() {
            return write!(f, "/");
        }
        self.components.iter().try_for_each(|c| match c {
            Component::Literal(t) | Component::Wild(t) => write!(f, "/{t}"),
            Component::Any => write!(f, "/**"),
        })
    }
}

fn show(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn variable(name: &str, context: &Context, env: bool) -> Result<Vec<String>, GlobError> {
    let Context {
        workspaces,
        home,
        tmp,
        config,
        cache,
        runtime,
        environment,
    } = context;
    Ok(match name {
        "workspace" => workspaces.iter().map(|w| show(w)).collect(),
        "home" => vec![show(home)],
        "tmp" => vec![show(tmp)],
        "config" => vec![show(config)],
        "cache" => vec![show(cache)],
        "runtime" => vec![show(runtime)],
        _ => {
            let Some(key) = name.strip_prefix("env:") else {
                return Err(GlobError::UnknownVariable(name.into()));
            };
            let (key, optional) = key.strip_suffix(":-").map_or((key, false), |k| (k, true));
            if !env {
                return Err(GlobError::VariableNotHere(key.into()));
            }
            match environment.get(key).filter(|v| !v.is_empty()) {
                Some(value) => vec![value.clone()],
                None if optional => vec![],
                None => return Err(GlobError::UnsetVariable(key.into())),
            }
        }
    })
}

fn parts(path: &Path) -> Vec<String> {
    path.iter()
        .skip(1)
        .map(|p| p.to_string_lossy().into_owned())
        .collect()
}

fn covers(pattern: &[Component], path: &[String]) -> bool {
    match (pattern, path) {
        ([], _) => true,
        ([Component::Any], rest) => !rest.is_empty(),
        ([Component::Any, tail @ ..], rest) => (0..=rest.len()).any(|n| covers(tail, &rest[n..])),
        (_, []) => false,
        ([Component::Literal(l), tail @ ..], [p, rest @ ..]) => l == p && covers(tail, rest),
        ([Component::Wild(w), tail @ ..], [p, rest @ ..]) => {
            wild(w.as_bytes(), p.as_bytes()) && covers(tail, rest)
        }
    }
}

fn reaches(pattern: &[Component], path: &[String]) -> bool {
    match (pattern, path) {
        ([], _) => false,
        ([Component::Any, ..], _) | (_, []) => true,
        ([Component::Literal(l), tail @ ..], [p, rest @ ..]) => l == p && reaches(tail, rest),
        ([Component::Wild(w), tail @ ..], [p, rest @ ..]) => {
            wild(w.as_bytes(), p.as_bytes()) && reaches(tail, rest)
        }
    }
}

/// `*` within one component; iterative, so that a hostile pattern costs at most n × m.
pub(crate) fn wild(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, n));
            p += 1;
        } else if p < pattern.len() && pattern[p] == name[n] {
            p += 1;
            n += 1;
        } else if let Some((sp, sn)) = star {
            star = Some((sp, sn + 1));
            p = sp + 1;
            n = sn + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, path: &str) -> bool {
        Glob::absolute(pattern).unwrap().covers(Path::new(path))
    }

    #[test]
    fn a_pattern_covers_what_it_matches_and_below() {
        assert!(covers("/a", "/a") && covers("/a", "/a/b/c") && !covers("/a", "/ab"));
        assert!(covers("/a/**", "/a/b") && !covers("/a/**", "/a"));
        assert!(
            covers("/a/**/b", "/a/b")
                && covers("/a/**/b", "/a/x/y/b/z")
                && !covers("/a/**/b", "/a/x")
        );
        assert!(covers("/a/*.pem", "/a/k.pem") && !covers("/a/*.pem", "/a/d/k.pem"));
        assert!(covers("/", "/anything"));
    }

    #[test]
    fn specificity_orders_literal_prefix_first() {
        let s = |t| Glob::absolute(t).unwrap().specificity();
        assert!(s("/a/b") > s("/a/**"));
        assert!(s("/a/b/**") > s("/a/**/c/d/e"));
        assert!(s("/a/**/c") > s("/a/**"));
    }

    #[test]
    fn hostile_patterns_end() {
        let pattern = format!("/{}", "*a".repeat(200));
        assert!(!covers(&pattern, &format!("/{}b", "a".repeat(2000))));
    }

    #[test]
    fn bad_paths_are_named() {
        assert_eq!(Glob::absolute("/a/../b"), Err(GlobError::ParentComponent));
        assert_eq!(Glob::absolute("a"), Err(GlobError::NotAbsolute));
        assert_eq!(Glob::absolute("/a**"), Err(GlobError::DoubleStarInside));
    }
}
