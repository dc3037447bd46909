//! What runs on the server in one step.

use ::redis::Script;

/// Each is loaded once and then called by its digest.
pub(super) struct Scripts {
    pub(super) run: Script,
    /// `run`, unless it was run before.
    pub(super) once: Script,
    /// `run`, unless it would change what may only be added.
    pub(super) adding: Script,
    pub(super) take: Script,
    pub(super) settle: Script,
    pub(super) give_back: Script,
    pub(super) touch: Script,
    pub(super) overdue: Script,
    pub(super) restore: Script,
    pub(super) sweep: Script,
    pub(super) unlock: Script,
}

/// In front of those that use it.
macro_rules! asking {
    ($script:literal) => {
        concat!(include_str!("../refused.lua"), include_str!($script))
    };
}

const RUN: &str = include_str!("../run.lua");
const REFUSED: &str = include_str!("../refused.lua");

impl Scripts {
    pub(super) fn new() -> Self {
        let around =
            |script: &str| Script::new(&format!("{REFUSED}local function plan()\n{RUN}\nend\n{script}"));
        Scripts {
            run: Script::new(asking!("../run.lua")),
            once: around(include_str!("../once.lua")),
            adding: around(include_str!("../adding.lua")),
            take: Script::new(concat!(include_str!("../tag.lua"), asking!("../take.lua"))),
            settle: Script::new(asking!("../settle.lua")),
            give_back: Script::new(asking!("../give_back.lua")),
            touch: Script::new(include_str!("../touch.lua")),
            overdue: Script::new(include_str!("../overdue.lua")),
            restore: Script::new(asking!("../restore.lua")),
            sweep: Script::new(include_str!("../sweep.lua")),
            unlock: Script::new(include_str!("../unlock.lua")),
        }
    }
}
