//! What the host could not say. A name that is not there and one that may not be seen are answers;
//! that memory or descriptors ran out is none, and nothing may be decided as if it were "no".

use nix::errno::Errno;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

static FIRST: Mutex<Option<(PathBuf, io::Error)>> = Mutex::new(None);

const NO_ANSWER: [Errno; 5] = [
    Errno::ENOMEM,
    Errno::EMFILE,
    Errno::ENFILE,
    Errno::EPERM,
    Errno::EIO,
];

/// The answer about `path`; none where there is none, which [`take`] gives if it is no answer at all.
pub fn answer<T>(path: &Path, result: io::Result<T>) -> Option<T> {
    match result {
        Ok(answer) => Some(answer),
        Err(error) => {
            note(path, error);
            None
        }
    }
}

/// The same where the error itself says enough; whether it is no answer.
pub fn note(path: &Path, error: io::Error) -> bool {
    let is_none = error
        .raw_os_error()
        .is_some_and(|e| NO_ANSWER.contains(&Errno::from_raw(e)));
    if is_none && let Ok(mut first) = FIRST.lock() {
        first.get_or_insert((path.into(), error));
    }
    is_none
}

/// The first question without an answer since this was asked; not to be asked by two threads.
pub fn take() -> Option<(PathBuf, io::Error)> {
    // a lock is poisoned by a panic alone, and then nothing is asked any more
    FIRST.lock().ok().and_then(|mut first| first.take())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_answer_is_kept() {
        let path = Path::new("/x");
        for errno in [Errno::ENOENT, Errno::EACCES, Errno::ELOOP, Errno::ENOTDIR] {
            assert_eq!(answer::<()>(path, Err(errno.into())), None);
        }
        assert_eq!(answer(path, Ok(1)), Some(1));
        assert!(take().is_none());
        for errno in [Errno::ENOMEM, Errno::EMFILE, Errno::EPERM] {
            assert_eq!(answer::<()>(path, Err(errno.into())), None);
        }
        let (kept, error) = take().unwrap();
        assert_eq!(
            (kept.as_path(), error.raw_os_error()),
            (path, Some(libc::ENOMEM))
        );
        assert!(take().is_none());
    }
}
