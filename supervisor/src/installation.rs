//! The command's own installation, which must be readable inside: its package, its virtual
//! environment or toolchain, and the directories of PATH below the home.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use stockade_enforce::doubt;

/// A file that says "this directory is one package".
const PACKAGE_MARKS: &[&str] = &["package.json", "pyvenv.cfg"];

/// Directories that the session needs to run `command`, as the host names them. A command in a
/// workspace, or one that is found by way of it, opens nothing: who wrote the workspace would choose what.
pub fn of(
    command: &OsStr,
    path: &OsStr,
    here: &Path,
    home: &Path,
    workspaces: &[PathBuf],
) -> BTreeSet<PathBuf> {
    let below_home = std::env::split_paths(path)
        .filter(|d| d.is_absolute() && d.starts_with(home) && d != home)
        .filter(|d| doubt::answer(d, d.metadata()).is_some_and(|m| m.is_dir()))
        .filter(|d| !lies_in(d, workspaces));
    let mut out: BTreeSet<PathBuf> = below_home.collect();
    let Some(file) = find(command, path, here) else {
        return out;
    };
    let (links, real) = resolve(&file);
    if leads_by(&links, &real, workspaces) {
        return out;
    }
    // each link on the way is followed inside too
    out.extend(links);
    out.insert(package(&real));
    // the root, the home and what holds it would be everything
    out.retain(|p| !home.starts_with(p));
    out
}

/// Whether a workspace decides where the name leads: it is in one, or a link on its way is.
pub fn lies_in(file: &Path, workspaces: &[PathBuf]) -> bool {
    let (links, real) = resolve(file);
    leads_by(&links, &real, workspaces)
}

fn leads_by(links: &[PathBuf], real: &Path, workspaces: &[PathBuf]) -> bool {
    let inside = |path: &Path| workspaces.iter().any(|w| path.starts_with(w));
    inside(real) || links.iter().any(|l| inside(l))
}

/// Where the shell would find it.
pub fn find(command: &OsStr, path: &OsStr, here: &Path) -> Option<PathBuf> {
    if command.as_encoded_bytes().contains(&b'/') {
        return Some(here.join(command));
    }
    let files = || {
        std::env::split_paths(path)
            .map(|d| here.join(d).join(command))
            .filter(|p| is_file(p))
    };
    let runs = |p: &PathBuf| {
        doubt::answer(p, p.metadata()).is_some_and(|m| m.permissions().mode() & 0o111 != 0)
    };
    // one that may not be executed is said to be so, not to be missing
    files().find(runs).or_else(|| files().next())
}

fn is_file(path: &Path) -> bool {
    doubt::answer(path, path.metadata()).is_some_and(|m| m.is_file())
}

/// The outermost directory that holds a `node_modules` above the file, the nearest package, else the file.
fn package(file: &Path) -> PathBuf {
    let modules = file
        .ancestors()
        .filter(|a| a.file_name().is_some_and(|n| n == "node_modules"))
        .last();
    let marked = || {
        file.ancestors()
            .skip(1)
            .take(6)
            .find(|a| PACKAGE_MARKS.iter().any(|m| is_file(&a.join(m))))
    };
    modules.or_else(marked).unwrap_or(file).to_owned()
}

/// Every symbolic link on the way to the file, and where the way ends.
fn resolve(path: &Path) -> (Vec<PathBuf>, PathBuf) {
    let (mut links, mut at) = (Vec::new(), PathBuf::from("/"));
    let names = |p: &Path| {
        p.components()
            .rev()
            .map(|c| c.as_os_str().to_owned())
            .collect::<Vec<_>>()
    };
    let mut rest = names(path);
    while let Some(name) = rest.pop() {
        match name.as_encoded_bytes() {
            b"/" => at = "/".into(),
            b"." => {}
            b".." => drop(at.pop()),
            _ => at.push(&name),
        }
        // as the kernel counts them
        if links.len() < 40
            && let Some(target) = doubt::answer(&at, at.read_link())
        {
            links.push(at.clone());
            at.pop();
            rest.extend(names(&target));
        }
    }
    (links, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_of_node_is_taken_with_its_neighbours() {
        assert_eq!(
            package(Path::new("/x/node_modules/a/node_modules/b/cli.js")),
            Path::new("/x/node_modules")
        );
        assert_eq!(package(Path::new("/x/bin/tool")), Path::new("/x/bin/tool"));
    }

    #[test]
    fn a_workspace_does_not_choose_what_is_opened() {
        let top = std::env::temp_dir().join(format!("stockade-command-{}", std::process::id()));
        let top = top.as_path();
        for folder in ["w", "secret", "bin"] {
            std::fs::create_dir_all(top.join(folder)).unwrap();
        }
        std::fs::write(top.join("secret/package.json"), "{}").unwrap();
        std::fs::write(top.join("secret/tool"), "").unwrap();
        std::fs::write(top.join("w/own"), "").unwrap();
        for (link, target) in [
            ("w/run", "../secret/tool"),
            ("bin/direct", "../secret/tool"),
            ("bin/by-way", "../w/run"),
        ] {
            std::os::unix::fs::symlink(target, top.join(link)).unwrap();
        }
        let top = top.canonicalize().unwrap();
        let workspaces = [top.join("w")];
        let opened = |command: &str| {
            let command = top.join(command);
            of(command.as_os_str(), OsStr::new(""), &top, &top, &workspaces)
        };
        assert!(opened("bin/direct").contains(&top.join("secret")));
        for command in ["w/run", "bin/by-way", "w/own"] {
            assert!(opened(command).is_empty(), "{command}");
        }
        std::fs::remove_dir_all(&top).unwrap();
    }

    #[test]
    fn nothing_that_holds_the_home_is_opened() {
        let found = of(
            "true".as_ref(),
            "/home/u/bin:/usr/bin:/bin".as_ref(),
            Path::new("/"),
            Path::new("/"),
            &[],
        );
        assert!(!found.contains(Path::new("/")), "{found:?}");
    }
}
