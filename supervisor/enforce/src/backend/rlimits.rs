//! Resource limits of setrlimit(2), per process.

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
        R::Limit { limit, .. } => match limit {
            Limit::Cpu | Limit::Files | Limit::FileSize => Hold::Full,
            Limit::Memory | Limit::Processes | Limit::Wall => NOT_MINE,
        },
        R::NoWriteOutside
        | R::NoMetadataOutside
        | R::Hidden { .. }
        | R::ReadOnlyInside { .. }
        | R::Private { .. }
        | R::Overlay { .. }
        | R::ProtectedPresent { .. }
        | R::ProtectedAbsent { .. }
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
