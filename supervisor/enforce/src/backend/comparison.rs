//! What the supervisor does itself: compares protected names at the end, ends a session whose time is over.

use super::{Hold, Host, NOT_MINE};
use stockade_policy::Limit;
use stockade_policy::Requirement as R;

pub fn hold(requirement: &R, host: &Host<'_>) -> Hold {
    let Host {
        facts: _,
        level: _,
        performed: _,
    } = host;
    match requirement {
        R::ProtectedAbsent { .. } => Hold::Partial(
            "absent",
            "a name that does not exist, or is a link, can be made: a protected one is compared at the end and what appeared is moved to the quarantine",
        ),
        R::Limit { limit, .. } => match limit {
            Limit::Wall => Hold::Full,
            Limit::Memory | Limit::Processes | Limit::Cpu | Limit::Files | Limit::FileSize => {
                NOT_MINE
            }
        },
        R::NoWriteOutside
        | R::NoMetadataOutside
        | R::Hidden { .. }
        | R::ReadOnlyInside { .. }
        | R::Private { .. }
        | R::Overlay { .. }
        | R::ProtectedPresent { .. }
        | R::ExecByPath { .. }
        | R::ExecWritten { .. }
        | R::NoNetwork { .. }
        | R::Network { .. }
        | R::UnixSockets { .. }
        | R::Processes
        | R::NothingLeft
        | R::NoUserNamespaces { .. }
        | R::SystemCalls { .. } => NOT_MINE,
    }
}
