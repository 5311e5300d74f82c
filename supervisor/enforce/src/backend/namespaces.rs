//! User, mount, pid, net, ipc, uts and cgroup namespaces; where there are none, the subreaper.

use super::{Hold, Host, NOT_MINE};
use crate::plan::Level;
use stockade_policy::Requirement as R;

pub fn hold(requirement: &R, host: &Host<'_>) -> Hold {
    match requirement {
        R::NoNetwork { .. } | R::Processes if host.level == Level::Namespaces => Hold::Full,
        R::NothingLeft => match host.level {
            Level::Namespaces => Hold::Full,
            Level::Landlock => Hold::Partial(
                "leftover",
                "what leaves the session's process tree is ended by the subreaper, which kill -9 can end first",
            ),
        },
        R::NoNetwork { .. } | R::Processes => NOT_MINE,
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
        | R::Network { .. }
        | R::UnixSockets { .. }
        | R::NoUserNamespaces { .. }
        | R::SystemCalls { .. }
        | R::Limit { .. } => NOT_MINE,
    }
}
