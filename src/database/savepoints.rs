//! The savepoints of a transaction, which are alike on every engine.

/// The savepoints that are set, and whether a statement has failed since the last one.
#[derive(Debug, Default)]
pub(super) struct Savepoints {
    depth: u32,
    failed: bool,
}

impl Savepoints {
    /// Returns the statement that sets the next savepoint.
    pub(super) fn set(&self) -> String {
        format!("SAVEPOINT s{}", self.depth + 1)
    }

    /// Returns the statements that release the last savepoint, keeping (`true`) or rolling back what came
    /// after it; `None` if none is set.
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

    /// Whether statements are refused until the transaction is rolled back to the last savepoint.
    pub(super) fn is_failed(&self) -> bool {
        self.failed
    }

    /// Notes that a statement failed. Returns whether a rollback to a savepoint is possible.
    pub(super) fn fail(&mut self) -> bool {
        self.failed = self.depth > 0;
        self.failed
    }
}
