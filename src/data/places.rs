//! The places that records get at the end of an order: whole numbers behind the last one.
//!
//! The last place of an order is read once and remembered from then on. Every transaction takes its
//! places off the same number before it writes them, so that no two take the same, and none waits for
//! another to commit. What is rolled back leaves a gap.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, OwnedMutexGuard};

use super::DataError;

/// Orders that are remembered while no transaction writes to them.
const MAX_IDLE_ORDERS: usize = 4096;

/// An order: a field of a table, among the records that have the same in another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OrderName {
    pub(super) table: String,
    pub(super) column: String,
    /// The column that divides the records, and what they have in it.
    pub(super) scope: Option<(String, String)>,
}

/// All orders of a data source. Cheap to clone; all clones know the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    orders: Mutex<HashMap<OrderName, Arc<Order>>>,
    /// Whose turn it is to move records of a table.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Places {
    /// An order. As long as whoever asks keeps it, nobody is given another one of the same name: a
    /// transaction keeps it to its end.
    pub(super) fn order(&self, name: &OrderName) -> Arc<Order> {
        let mut orders = self.inner.orders.lock();
        if let Some(order) = orders.get(name) {
            return Arc::clone(order);
        }
        if orders.len() >= MAX_IDLE_ORDERS {
            orders.retain(|_, order| is_in_use(order));
        }
        Arc::clone(orders.entry(name.clone()).or_default())
    }

    /// Waits until nobody else moves records of a table. Moves lock rows in an order of their own each:
    /// two at a time would wait for each other.
    pub(super) async fn turn(&self, table: &str) -> OwnedMutexGuard<()> {
        let turn = Arc::clone(self.inner.turns.lock().entry(table.to_owned()).or_default());
        turn.lock_owned().await
    }

    /// The orders of a table are to be read anew.
    pub(super) fn forget(&self, table: &str) {
        self.inner.orders.lock().retain(|name, order| name.table != table || is_in_use(order));
        self.inner.turns.lock().remove(table);
    }
}

/// Whether somebody else than the memory itself has it.
fn is_in_use(order: &Arc<Order>) -> bool {
    Arc::strong_count(order) > 1
}

/// What is known of an order.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Set once the last place has been read from the table.
    pub(super) read: OnceCell<()>,
    /// Whether the last place is to be read once more: somebody else gave records places.
    stale: AtomicBool,
    /// No record has a place behind it.
    last: Mutex<i64>,
    /// How often somebody said a place, or took one away, and did not let the order give it.
    given: AtomicU64,
    /// That number when all places were last seen to be distinct.
    distinct: Mutex<Option<u64>>,
}

impl Order {
    /// Takes so many places behind the last; gives the first of them.
    ///
    /// # Errors
    /// [`DataError::Refused`] where numbers go no further.
    pub(super) fn take(&self, count: usize) -> Result<i64, DataError> {
        let mut last = self.last.lock();
        let end = i64::try_from(count).ok().and_then(|count| last.checked_add(count));
        let end = end.ok_or_else(|| {
            let last = *last;
            DataError::Refused(format!(
                "there is no place behind {last}, the last of the order: move it first"
            ))
        })?;
        let first = *last + 1;
        *last = end;
        Ok(first)
    }

    /// Somebody gives a record this place, or none.
    pub(super) fn give(&self, place: Option<i64>) {
        self.given.fetch_add(1, Ordering::SeqCst);
        if let Some(place) = place {
            self.raise(place);
        }
    }

    /// How often somebody gave a place. Read before looking whether all are distinct.
    pub(super) fn given(&self) -> u64 {
        self.given.load(Ordering::SeqCst)
    }

    /// Each record has a place, and no other has the same: that was seen after this [`Order::given`], while
    /// nobody else was changing the order.
    pub(super) fn set_distinct(&self, given: u64) {
        *self.distinct.lock() = Some(given);
    }

    /// Whether that is known, and still so.
    pub(super) fn is_distinct(&self) -> bool {
        *self.distinct.lock() == Some(self.given())
    }

    /// The last place is to be read once more.
    pub(super) fn set_stale(&self) {
        self.stale.store(true, Ordering::SeqCst);
    }

    /// Whether it is; once.
    pub(super) fn take_stale(&self) -> bool {
        self.stale.load(Ordering::SeqCst) && self.stale.swap(false, Ordering::SeqCst)
    }

    /// A record has this place.
    pub(super) fn raise(&self, place: i64) {
        let mut last = self.last.lock();
        *last = place.max(*last);
    }

    /// The last place that was read or taken.
    pub(super) fn last(&self) -> i64 {
        *self.last.lock()
    }

    /// Ends the order at another place, if no place was taken since `before` was the last of it; gives
    /// whether it does.
    pub(super) fn end_at(&self, place: i64, before: i64) -> bool {
        let mut last = self.last.lock();
        let is_as_before = *last == before;
        if is_as_before {
            *last = place;
        }
        is_as_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(table: &str, scope: usize) -> OrderName {
        let scope = Some(("list".to_owned(), scope.to_string()));
        OrderName { table: table.to_owned(), column: "sort".to_owned(), scope }
    }

    #[test]
    fn no_place_is_taken_twice() {
        let order = Order::default();
        order.raise(7);
        order.raise(3);
        assert_eq!((order.take(1).unwrap(), order.take(3).unwrap(), order.take(1).unwrap()), (8, 9, 12));
        assert!(!order.end_at(2, 11), "a place was taken since");
        assert!(order.end_at(2, 12));
        assert_eq!(order.take(1).unwrap(), 3);
        order.raise(i64::MAX - 1);
        assert_eq!(order.take(1).unwrap(), i64::MAX);
        assert!(order.take(1).is_err());
    }

    #[test]
    fn distinct_places_are_known_until_somebody_gives_one() {
        let order = Order::default();
        assert!(!order.is_distinct());
        let before = order.given();
        order.set_distinct(before);
        assert!(order.is_distinct());
        order.take(2).unwrap();
        assert!(order.is_distinct(), "it gives distinct places itself");
        order.give(None);
        assert!(!order.is_distinct());
        order.set_distinct(before);
        assert!(!order.is_distinct(), "a place was given since it was looked at");
    }

    #[test]
    fn an_order_in_use_is_remembered_and_others_make_room() {
        let places = Places::default();
        let used = places.order(&name("cards", 0));
        used.raise(5);
        for scope in 1..=2 * MAX_IDLE_ORDERS {
            places.order(&name("cards", scope));
        }
        assert!(places.inner.orders.lock().len() <= MAX_IDLE_ORDERS);
        places.forget("cards");
        assert_eq!(places.order(&name("cards", 0)).last(), 5);
        drop(used);
        places.forget("posts");
        assert_eq!(places.order(&name("cards", 0)).last(), 5);
        places.forget("cards");
        assert_eq!(places.order(&name("cards", 0)).last(), 0);
    }
}
