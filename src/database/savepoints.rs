//! The savepoints of a transaction, the same on every engine.

/// Which are set, and whether something failed since the last one.
#[derive(Debug, Default)]
pub(super) struct Savepoints {
    depth: u32,
    failed: bool,
}

impl Savepoints {
    /// The statement that sets the next one.
    pub(super) fn set(&self) -> String {
        format!("SAVEPOINT s{}", self.depth + 1)
    }

    /// The statements that give up the last one, keeping (`true`) or undoing what came after it;
    /// `None` when none is set.
    pub(super) fn end(&self, keep: bool) -> Option<Vec<String>> {
        let name = (self.depth > 0).then(|| format!("s{}", self.depth))?;
        let release = format!("RELEASE SAVEPOINT {name}");
        Some(if keep { vec![release] } else { vec![format!("ROLLBACK TO SAVEPOINT {name}"), release] })
    }

    pub(super) fn was_set(&mut self) {
        self.depth += 1;
    }

    pub(super) fn has_ended(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.failed = false;
    }

    /// Whether statements are refused until it is gone back to the last one.
    pub(super) fn is_failed(&self) -> bool {
        self.failed
    }

    /// A statement failed; whether it can be gone back.
    pub(super) fn fail(&mut self) -> bool {
        self.failed = self.depth > 0;
        self.failed
    }
}
