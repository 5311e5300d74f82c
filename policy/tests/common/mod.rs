//! What the tests of this crate share.

use stockade_policy::Context;

pub fn context() -> Context {
    Context {
        workspaces: vec!["/home/u/w".into()],
        home: "/home/u".into(),
        tmp: "/tmp".into(),
        config: "/home/u/.config".into(),
        cache: "/home/u/.cache".into(),
        runtime: "/run/user/1000".into(),
        environment: [("SET", "/set"), ("RELATIVE", "set")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
    }
}
