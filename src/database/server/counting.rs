//! Counts that are waited for at the same time are made once.
//!
//! How many records there are is asked with every page, and a server counts by looking at all of
//! them. So what a statement counts is counted by one connection at a time. Who asks meanwhile waits
//! for the next count and has it in common with all who wait: it begins after each of them has asked,
//! and sees whatever was acknowledged by then.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::database::{DatabaseError, Rendered};

type Answer = Result<u64, DatabaseError>;

/// The counts of a database that are under way or waited for.
#[derive(Debug, Default)]
pub(super) struct Counting {
    lines: Mutex<Vec<Arc<Line>>>,
}

/// Those who ask what one statement counts.
#[derive(Debug)]
struct Line {
    hash: u64,
    statement: Rendered,
    /// Whoever counts has it.
    turn: tokio::sync::Mutex<()>,
    /// The count that has not begun.
    next: Mutex<Option<Arc<OnceCell<Answer>>>>,
}

/// A place in a line, until this is dropped.
struct Waiting<'a> {
    counting: &'a Counting,
    line: Arc<Line>,
}

impl Counting {
    /// What a statement counts: as `count` says, or another one that began after this was called.
    pub(super) async fn count(&self, statement: &Rendered, count: impl Future<Output = Answer>) -> Answer {
        let waiting = self.wait(statement);
        let line = &waiting.line;
        let round = Arc::clone(line.next.lock().get_or_insert_default());
        // Where whoever counts goes away, the next one does it.
        let answer = round.get_or_init(|| async {
            let _turn = line.turn.lock().await;
            line.begin(&round);
            count.await
        });
        answer.await.clone()
    }

    fn wait(&self, statement: &Rendered) -> Waiting<'_> {
        let hash = statement.hash();
        let mut lines = self.lines.lock();
        let found = lines.iter().find(|line| line.hash == hash && line.statement == *statement);
        let line = found.map(Arc::clone).unwrap_or_else(|| {
            let (turn, next) = (tokio::sync::Mutex::default(), Mutex::default());
            let line = Arc::new(Line { hash, statement: statement.clone(), turn, next });
            lines.push(Arc::clone(&line));
            line
        });
        Waiting { counting: self, line }
    }
}

impl Line {
    /// Who asks from now on waits for another count than this one.
    fn begin(&self, round: &Arc<OnceCell<Answer>>) {
        self.next.lock().take_if(|next| Arc::ptr_eq(next, round));
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut lines = self.counting.lines.lock();
        // One in the list, and one here.
        if Arc::strong_count(&self.line) == 2 {
            lines.retain(|line| !Arc::ptr_eq(line, &self.line));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::Semaphore;
    use tokio::task::{JoinSet, yield_now};

    use super::*;

    /// Counts itself, and nothing until it is let.
    struct Slow {
        counting: Counting,
        begun: AtomicU64,
        may: Semaphore,
    }

    impl Slow {
        fn new() -> Arc<Self> {
            let (counting, begun, may) = (Counting::default(), AtomicU64::new(0), Semaphore::new(0));
            Arc::new(Self { counting, begun, may })
        }

        async fn count(&self, statement: &Rendered) -> Answer {
            let count = async {
                let number = self.begun.fetch_add(1, Ordering::SeqCst);
                self.may.acquire().await.unwrap().forget();
                // The first fails.
                (number > 0).then_some(number).ok_or(DatabaseError::Failed("no table".to_owned()))
            };
            self.counting.count(statement, count).await
        }

        /// Asks so many times; all wait when this returns.
        async fn ask(self: &Arc<Self>, times: usize) -> JoinSet<Answer> {
            let mut all = JoinSet::new();
            for _ in 0..times {
                let slow = Arc::clone(self);
                all.spawn(async move { slow.count(&Rendered::of("SELECT count(*) FROM t")).await });
                yield_now().await;
            }
            all
        }
    }

    #[tokio::test]
    async fn who_waits_together_has_one_count_that_began_after_all_asked() {
        let slow = Slow::new();
        let first = slow.ask(1).await;
        let next = slow.ask(5).await;
        assert_eq!(slow.begun.load(Ordering::SeqCst), 1, "one at a time");
        let other = Rendered { values: vec![1_i32.into()], ..Rendered::of("SELECT count(*) FROM t") };
        slow.may.add_permits(2);
        assert!(matches!(first.join_all().await[..], [Err(DatabaseError::Failed(_))]));
        assert_eq!(next.join_all().await, vec![Ok(1); 5]);
        slow.may.add_permits(1);
        assert_eq!(slow.count(&other).await, Ok(2), "it is nobody else's");
        assert!(slow.counting.lines.lock().is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn where_one_goes_away_another_counts() {
        let slow = Slow::new();
        let mut first = slow.ask(1).await;
        let mut next = slow.ask(3).await;
        first.shutdown().await;
        yield_now().await;
        assert_eq!(slow.begun.load(Ordering::SeqCst), 2);
        let last = slow.ask(2).await;
        slow.may.add_permits(2);
        assert_eq!(next.join_next().await.unwrap().unwrap(), Ok(1));
        assert_eq!(next.join_all().await, vec![Ok(1); 2]);
        assert_eq!(last.join_all().await, vec![Ok(2); 2]);
        let mut gone = slow.ask(4).await;
        gone.shutdown().await;
        assert!(slow.counting.lines.lock().is_empty());
    }
}
