//! Control groups, version 2: memory and number of processes of the whole session.

use super::{Hold, Host, NOT_MINE};
use crate::facts::Cgroup;
use stockade_policy::Limit;
use stockade_policy::Requirement as R;

pub fn hold(requirement: &R, host: &Host<'_>) -> Hold {
    match requirement {
        R::Limit { limit, .. } => match limit {
            Limit::Memory | Limit::Processes => match &host.facts.cgroup {
                Cgroup::Delegated(_) => Hold::Full,
                Cgroup::NotDelegated => Hold::None(
                    "no cgroup may be made here; start it as `systemd-run --user --scope -p Delegate=yes stockade …`",
                ),
                Cgroup::WithoutControllers | Cgroup::None => Hold::None(
                    "this host gives no cgroup (version 2) with the memory and pids controllers; under systemd `systemd-run --user --scope -p Delegate=yes stockade …` makes one",
                ),
            },
            Limit::Cpu | Limit::Wall | Limit::Files | Limit::FileSize => NOT_MINE,
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
