//! For tests: a call that the kernel refuses.

use libseccomp::{ScmpAction, ScmpFilterContext, ScmpSyscall};

/// In a thread of its own, whose calls of that name fail with `errno`.
pub fn with<T: Send + 'static>(
    call: &str,
    errno: i32,
    run: impl FnOnce() -> T + Send + 'static,
) -> T {
    let call = ScmpSyscall::from_name(call).unwrap();
    let thread = std::thread::spawn(move || {
        let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
        filter.add_rule(ScmpAction::Errno(errno), call).unwrap();
        filter.load().unwrap();
        run()
    });
    thread.join().unwrap()
}
