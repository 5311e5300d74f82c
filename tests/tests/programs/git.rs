//! git, in repositories, linked worktrees and submodules.

use crate::Work;

/// Who commits: given by a user once, in the home.
const WHO: &str = "git config --global user.name test; git config --global user.email test@localhost; \
    git config --global init.defaultBranch main\n";

/// A repository with one commit.
const BASE: &str =
    "git init -q; echo one > a; mkdir src; echo two > src/b; git add .; git commit -qm first\n";

/// The index holds times, and so does what keeps unreachable objects for a while.
fn work(name: &'static str) -> Work {
    Work::new(name).unlike(&["index", "*.mtimes"])
}

#[test]
fn a_repository_from_nothing() {
    work("git-init")
        .says(&[".git/config was made"])
        .before(WHO)
        .same(
            "git init; echo one > a; git add a; git commit -m first; git log --stat; git status
             git config user.email; git config user.email other@localhost; git config user.email",
        );
}

#[test]
fn daily_commands() {
    work("git-daily").before(format!("{WHO}{BASE}")).same(
        "git switch -c topic; echo more >> a; git commit -qam topic; git mv src lib; git commit -m move
         git switch main; echo other > c; git add c; git commit -qm other; git merge --no-edit topic
         git rebase HEAD~1 || true; git cherry-pick --abort 2>&1 || true; git tag -a v1 -m one
         git log --graph --oneline --all; git diff v1~1 --stat; git show --stat HEAD; git blame lib/b
         echo x >> c; git stash; git stash list; git stash pop; git checkout -- c; git clean -nd
         git reset --hard HEAD~1; git reflog | wc -l; git gc -q; git fsck; git count-objects
         git bundle create all.bundle --all 2>&1 | tail -1; git archive HEAD | tar -t; git grep -n two",
    );
}

#[test]
fn interactive_rebase_and_an_editor() {
    work("git-editor").before(format!("{WHO}{BASE}")).same(
        r#"for n in 1 2 3; do echo $n > n$n; git add n$n; git commit -qm "n$n"; done
           GIT_SEQUENCE_EDITOR="sed -i '2s/pick/squash/'" GIT_EDITOR="sed -i 1s/^/edited:/" git rebase -i HEAD~3 2>&1
           echo more > more; git add more
           cat > .git/editor <<'X'
#!/bin/sh
test -t 1 || echo from-the-editor > "$1"
X
           chmod +x .git/editor; GIT_EDITOR=.git/editor git commit -q; git log --format=%B
           git -c core.pager='sed s/^/paged:/' -c color.ui=always -p log --oneline | cat"#,
    );
}

#[test]
fn worktrees_made_inside() {
    work("git-worktree").before(format!("{WHO}{BASE}")).same(
        "git worktree add -b side .side; cd .side; echo s > s; git add s; git commit -qm side; git status -sb
         git stash list; echo d >> a; git stash -q; git stash pop -q; git log --oneline --all; cd ..
         git worktree list | wc -l; git worktree lock .side; git worktree unlock .side
         git worktree remove --force .side; git worktree prune; git branch -a",
    );
}

/// The workspace is a linked worktree, its repository lies beside it.
#[test]
fn in_a_linked_worktree() {
    let made = "git init -q ../main; cd ../main; echo one > a; git add a; git commit -qm first
        git worktree add -q -b side ../project\n";
    work("git-linked").before(format!("{WHO}{made}")).same(
        "git status -sb; echo two > b; git add b; git commit -m second; git log --oneline --all
         echo three >> b; git stash; git stash list; git stash pop; git commit -qam third
         git branch other; git switch -q other; git tag light; git worktree list | wc -l; git gc -q
         git rev-parse --git-common-dir; git fsck; git config user.email; git -C ../main log --oneline --all",
    );
}

#[test]
fn submodules() {
    let made = format!(
        "git init -q ../lib; cd ../lib; echo lib > l; git add l; git commit -qm lib; cd ../project\n{BASE}"
    );
    let local = "git config --global protocol.file.allow always\n";
    work("git-submodule")
        .before(format!("{WHO}{local}{made}git clone -q --bare ../lib lib.git"))
        .says(&[
            ".git/config was changed (keys of it make git run programs)",
            ".git/config: submodule.sub.url = ",
            ".git/modules/sub/config was made (keys of it make git run programs)",
            ".git/modules/sub/config: core.worktree = ../../../sub (it points git at another tree)",
            ".git/modules/sub/config: remote.origin.url = ",
            ".gitmodules was made (git fetches what it names)",
        ])
        .same(
            "git submodule add -q ./lib.git sub 2>&1; git commit -qm sub; git submodule status
             git -C sub log --oneline; echo more >> sub/l; git -C sub commit -qam more; git submodule summary
             git -C sub push -q 2>&1; git commit -qam bump; git submodule foreach -q 'git log --oneline | cat'; git submodule deinit -f sub
             git submodule update --init -q; cat sub/l",
        );
}
