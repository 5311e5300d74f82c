//! Path patterns: `*` within a component, `**` across components, variables, `~`; `[*]` and `[$]`
//! for the characters themselves. What a variable stands for is taken literally.

use crate::diagnostic::nearest;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const VARIABLES: &[&str] = &["workspace", "home", "tmp", "config", "cache", "runtime"];

/// A `*` that stands for itself: no text of a policy holds a NUL byte.
const STAR: char = '\0';
const STAR_WRITTEN: &str = "[*]";
const DOLLAR_WRITTEN: &str = "[$]";

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

impl Context {
    /// Whether the name is a workspace or lies in one.
    pub fn in_workspace(&self, path: &Path) -> bool {
        self.workspaces.iter().any(|w| path.starts_with(w))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GlobError {
    Empty,
    NotAbsolute,
    ParentComponent,
    Nul,
    /// What its first variable stands for is not absolute.
    RelativeValue,
    OtherHome(String),
    UnclosedVariable,
    UnknownVariable(String),
    UnsetVariable(String),
    VariableNotHere(String),
    DoubleStarInside,
}

impl GlobError {
    /// What to do about it.
    pub fn help(&self, text: &str) -> Option<String> {
        match self {
            Self::Empty | Self::Nul => None,
            Self::NotAbsolute if text.starts_with("./") || !text.starts_with('$') => Some(format!(
                "below the workspace it is `${{workspace}}/{}`",
                text.trim_start_matches("./")
            )),
            Self::NotAbsolute => Some("a variable is written `${home}` or `${env:NAME}`".into()),
            Self::RelativeValue => Some("set it to a path that starts with /".into()),
            Self::ParentComponent => Some("write the path without `..`".into()),
            Self::OtherHome(_) => Some("`~` is the home of the user who starts the session".into()),
            Self::UnclosedVariable => Some("a variable is written `${NAME}`".into()),
            Self::UnknownVariable(name) => Some(match nearest(name, VARIABLES.iter().copied()) {
                Some(near) => format!("did you mean `${{{near}}}`?"),
                None => variables(),
            }),
            Self::UnsetVariable(name) => Some(format!(
                "set it, or write `${{env:{name}:-}}`: then the entry is dropped while it is unset"
            )),
            Self::VariableNotHere(_) => {
                Some("write the path out, or move the rule to your own policy".into())
            }
            Self::DoubleStarInside => {
                Some("`*` stands for a part of a component, `/**/` for any number of them".into())
            }
        }
    }
}

fn variables() -> String {
    let names: Vec<_> = VARIABLES.iter().map(|v| format!("`${{{v}}}`")).collect();
    format!("variables: {}, `${{env:NAME}}`", names.join(", "))
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
            Self::RelativeValue => write!(f, "what the variable stands for is no absolute path"),
            Self::OtherHome(user) => write!(f, "the home of another user, ~{user}, is not known"),
            Self::UnclosedVariable => write!(f, "`${{` without `}}`"),
            Self::UnknownVariable(name) => write!(f, "unknown variable ${{{name}}}"),
            Self::UnsetVariable(name) => write!(f, "environment variable {name} is not set"),
            Self::VariableNotHere(name) => {
                write!(f, "${{env:{name}}} is not read for a project's file")
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
    /// What the components say, worked out once: it is asked for again and again.
    root: PathBuf,
    specificity: Specificity,
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
        if text.split('/').any(|part| part == "..") {
            return Err(GlobError::ParentComponent);
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
                let user = tail.split('/').next().unwrap_or("");
                return Err(GlobError::OtherHome(user.into()));
            }
            expanded = vec![Self::literally(&show(&context.home))];
            rest = tail;
        }
        while let Some(at) = rest.find("${") {
            let end = rest[at..].find('}').ok_or(GlobError::UnclosedVariable)? + at;
            let values: Vec<_> = variable(&rest[at + 2..end], context, env)?
                .iter()
                .map(|v| Self::literally(v))
                .collect();
            let before = &rest[..at];
            expanded = expanded
                .iter()
                .flat_map(|e| values.iter().map(move |v| format!("{e}{before}{v}")))
                .collect();
            rest = &rest[end + 1..];
        }
        expanded
            .iter()
            .map(|e| match Self::absolute(&format!("{e}{rest}")) {
                Err(GlobError::NotAbsolute) if text.starts_with("${") => {
                    Err(GlobError::RelativeValue)
                }
                other => other,
            })
            .collect()
    }

    /// As a pattern that matches nothing but `value`: a directory that is named `*` opens no other.
    pub fn literally(value: &str) -> String {
        if value.contains(['*', '$']) {
            let stars = value.replace('*', STAR_WRITTEN);
            stars.replace('$', DOLLAR_WRITTEN)
        } else {
            value.to_owned()
        }
    }

    /// A pattern without variables.
    pub fn absolute(text: &str) -> Result<Self, GlobError> {
        if text.contains('\0') {
            return Err(GlobError::Nul);
        }
        let Some(tail) = text.strip_prefix('/') else {
            return Err(GlobError::NotAbsolute);
        };
        let tail = if tail.contains('[') {
            let stars = tail.replace(STAR_WRITTEN, STAR.encode_utf8(&mut [0; 4]));
            Cow::Owned(stars.replace(DOLLAR_WRITTEN, "$"))
        } else {
            Cow::Borrowed(tail)
        };
        let mut components = Vec::new();
        for part in tail.split('/') {
            components.push(match part {
                "" | "." => continue,
                ".." => return Err(GlobError::ParentComponent),
                "**" => Component::Any,
                p if p.contains("**") => return Err(GlobError::DoubleStarInside),
                p if p.contains('*') => Component::Wild(p.into()),
                p => Component::Literal(p.replace(STAR, "*")),
            });
        }
        Ok(Self::of(components))
    }

    fn of(components: Vec<Component>) -> Self {
        let literal = |c: &Component| matches!(c, Component::Literal(_));
        let first = components.iter().take_while(|c| literal(c)).count();
        let mut root = PathBuf::from("/");
        for component in &components {
            match component {
                Component::Literal(l) => root.push(l),
                Component::Wild(_) | Component::Any => break,
            }
        }
        let all = components.iter().filter(|c| literal(c)).count();
        let length = components.iter().map(Component::written).sum::<usize>();
        Self {
            components,
            root,
            // of no component it is `/`
            specificity: (first, all, length.max(1)),
        }
    }

    pub fn covers(&self, path: &Path) -> bool {
        // most patterns differ from most paths in their first names
        let (literal, rest) = self.components.split_at(self.specificity.0);
        let mut names = path.iter().skip(1).map(OsStrExt::as_bytes);
        if !literal
            .iter()
            .all(|c| names.next().is_some_and(|n| c.matches(n)))
        {
            return false;
        }
        rest.is_empty() || covers(rest, &names.collect::<Vec<_>>())
    }

    pub fn specificity(&self) -> Specificity {
        self.specificity
    }

    /// The path itself when there is no wildcard.
    pub fn literal(&self) -> Option<PathBuf> {
        self.wildcards().is_empty().then(|| self.root.clone())
    }

    /// The literal directory from which a walk finds all matches, and whether a wildcard follows.
    pub fn root(&self) -> PathBuf {
        self.root.clone()
    }

    /// `X/**`: everything below one literal directory.
    pub fn is_tree_below(&self) -> bool {
        matches!(self.wildcards(), [Component::Any])
    }

    /// Whether a name below `path` can match although `path` does not.
    pub fn reaches_below(&self, path: &Path) -> bool {
        reaches(&self.components, &parts(path))
    }

    /// From the first wildcard on.
    fn wildcards(&self) -> &[Component] {
        &self.components[self.specificity.0..]
    }
}

impl std::fmt::Display for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.components.is_empty() {
            return write!(f, "/");
        }
        self.components.iter().try_for_each(|c| match c {
            Component::Literal(t) => write!(f, "/{}", Self::literally(t)),
            Component::Wild(t) => {
                let t = t.replace('$', DOLLAR_WRITTEN);
                write!(f, "/{}", t.replace(STAR, STAR_WRITTEN))
            }
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
            if key.is_empty() {
                return Err(GlobError::UnknownVariable(name.into()));
            }
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

fn parts(path: &Path) -> Vec<&[u8]> {
    path.iter().skip(1).map(OsStrExt::as_bytes).collect()
}

impl Component {
    /// The length of its text, with the slash before it.
    fn written(&self) -> usize {
        let more = |t: &str, written: &[u8]| t.bytes().filter(|b| written.contains(b)).count();
        1 + match self {
            Self::Literal(t) => t.len() + more(t, b"*$") * (STAR_WRITTEN.len() - 1),
            Self::Wild(t) => t.len() + more(t, b"\0$") * (STAR_WRITTEN.len() - 1),
            Self::Any => 2,
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Literal(l) => l.as_bytes() == name,
            Self::Wild(w) => wild(w.as_bytes(), name),
            Self::Any => true,
        }
    }
}

/// Whether the pattern matches the path or one that it lies below. What stands between two `**`
/// is taken where it first matches: an earlier match leaves more for what follows, so no second
/// try is needed and a hostile pattern costs at most its length times the path's.
fn covers(pattern: &[Component], path: &[&[u8]]) -> bool {
    let mut rest = path;
    for (n, run) in pattern.split(|c| *c == Component::Any).enumerate() {
        let fits = |at: &[&[u8]]| {
            at.len() >= run.len() && run.iter().zip(at).all(|(c, name)| c.matches(name))
        };
        let last = if n == 0 { 0 } else { rest.len() };
        let Some(at) = (0..=last).find(|at| fits(&rest[*at..])) else {
            return false;
        };
        rest = &rest[at + run.len()..];
    }
    // `X/**` is what is below X, not X itself
    pattern.last() != Some(&Component::Any) || !rest.is_empty()
}

fn reaches(pattern: &[Component], path: &[&[u8]]) -> bool {
    for (n, component) in pattern.iter().enumerate() {
        match (component, path.get(n)) {
            (Component::Any, _) | (_, None) => return true,
            (component, Some(name)) if component.matches(name) => {}
            _ => return false,
        }
    }
    false
}

/// `*` within one component; iterative, so that a hostile pattern costs at most n × m.
pub(crate) fn wild(pattern: &[u8], name: &[u8]) -> bool {
    let is = |pattern: u8, name: u8| pattern == name || (pattern == STAR as u8 && name == b'*');
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, n));
            p += 1;
        } else if p < pattern.len() && is(pattern[p], name[n]) {
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
    fn the_length_that_decides_is_that_of_the_text() {
        for text in [
            "/",
            "/a",
            "/a/**",
            "/**/b",
            "/a*b",
            "/a[*]b",
            "/[*]*[$]",
            "/$/a[$]",
            "/ü*/[$][*]",
            "/a//b/./c",
        ] {
            let glob = Glob::absolute(text).unwrap();
            assert_eq!(glob.specificity().2, glob.to_string().len(), "{text}");
            assert_eq!(Glob::absolute(&glob.to_string()), Ok(glob), "{text}");
        }
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
    fn many_double_stars_end() {
        let pattern = "/**/a".repeat(40) + "/**/b";
        assert!(!covers(&pattern, &"/a".repeat(4000)));
        assert!(covers(&pattern, &("/a".repeat(4000) + "/b")));
    }

    #[test]
    fn what_a_variable_stands_for_is_no_pattern() {
        let context = Context {
            workspaces: vec!["/home/u/*".into(), "/home/u/**".into()],
            home: "/home/u*".into(),
            tmp: "/tmp".into(),
            config: "/c".into(),
            cache: "/c".into(),
            runtime: "/r".into(),
            environment: [("V".to_owned(), "/v[*]".to_owned())].into(),
        };
        let all = |text| Glob::parse(text, &context, true, false).unwrap();
        let hit = |text, path: &str| all(text).iter().any(|g| g.covers(Path::new(path)));
        assert!(hit("${workspace}", "/home/u/*/x") && hit("${workspace}", "/home/u/**/x"));
        assert!(!hit("${workspace}", "/home/u/other/x"));
        assert!(hit("~/x", "/home/u*/x") && !hit("~/x", "/home/user/x"));
        assert!(hit("${home}-*", "/home/u*-a") && !hit("${home}-*", "/home/user-a"));
        assert!(hit("${env:V}", "/v[*]") && !hit("${env:V}", "/v*"));
        for glob in all("${workspace}/a*").iter().chain(&all("~/*")) {
            assert_eq!(Glob::absolute(&glob.to_string()).as_ref(), Ok(glob));
        }
    }

    #[test]
    fn a_literal_name_is_nothing_but_itself() {
        let context = Context {
            workspaces: Vec::new(),
            home: "/home/${workspace}".into(),
            tmp: "/t".into(),
            config: "/c".into(),
            cache: "/c".into(),
            runtime: "/r".into(),
            environment: BTreeMap::new(),
        };
        for name in [
            "/a$b",
            "/a${b",
            "/${home}",
            "/a${b}*",
            "/[$]",
            "/[*]",
            "/[[$]{*}]",
            "/$[*]$",
        ] {
            let text = Glob::literally(name);
            let parsed = Glob::parse(&text, &context, true, false).unwrap();
            assert_eq!(parsed[0].literal(), Some(name.into()), "{text}");
            let again = Glob::absolute(&parsed[0].to_string()).unwrap();
            assert_eq!(parsed, [again]);
        }
        let home = Glob::parse("~/x$*", &context, true, false)
            .unwrap()
            .remove(0);
        assert!(home.covers(Path::new("/home/${workspace}/x$y")));
        assert_eq!(Glob::absolute(&home.to_string()), Ok(home));
    }

    /// The meaning of a pattern, word for word; exponential.
    fn oracle(pattern: &[Component], path: &[&[u8]]) -> bool {
        match (pattern, path) {
            ([], _) => true,
            ([Component::Any], rest) => !rest.is_empty(),
            ([Component::Any, tail @ ..], rest) => {
                (0..=rest.len()).any(|n| oracle(tail, &rest[n..]))
            }
            (_, []) => false,
            ([c, tail @ ..], [p, rest @ ..]) => c.matches(p) && oracle(tail, rest),
        }
    }

    proptest::proptest! {
        #[test]
        fn covers_as_the_definition_says(
            pattern in "(/(a|b|\\*|a\\*|\\*\\*)){0,7}",
            path in "(/(a|b|ab)){0,7}",
        ) {
            let glob = Glob::absolute(&format!("/{pattern}")).unwrap();
            let path = format!("/{path}");
            let want = oracle(&glob.components, &parts(Path::new(&path)));
            proptest::prop_assert_eq!(glob.covers(Path::new(&path)), want);
        }
    }

    #[test]
    fn bad_paths_are_named() {
        assert_eq!(Glob::absolute("/a/../b"), Err(GlobError::ParentComponent));
        assert_eq!(Glob::absolute("a"), Err(GlobError::NotAbsolute));
        assert_eq!(Glob::absolute("/a**"), Err(GlobError::DoubleStarInside));
    }
}
