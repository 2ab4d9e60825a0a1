//! Answers to statements, kept as long as they are worth it.

use sea_query::Value;

use super::Rendered;

/// Answers that are kept, in each place that keeps some: of a count, each user in a role with a scope may
/// have one.
const MOST: usize = 128;
/// A statement that binds more values, or has more bytes with them, is not kept.
const MOST_VALUES: usize = 16;
const LONGEST: usize = 4096;

/// What is known about statements. Of more than it holds, what was not asked for the longest goes.
#[derive(Debug)]
pub(super) struct Kept<T> {
    /// The one that was asked for last is the last.
    entries: Vec<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
    statement: Rendered,
    value: T,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> Kept<T> {
    /// What is known about a statement, without asking for it.
    pub(super) fn peek(&self, statement: &Rendered) -> Option<&T> {
        self.place(statement).map(|place| &self.entries[place].value)
    }

    /// What is known about a statement.
    pub(super) fn get(&mut self, statement: &Rendered) -> Option<&T> {
        let place = self.place(statement)?;
        self.entries[place..].rotate_left(1);
        self.entries.last().map(|entry| &entry.value)
    }

    /// Keeps this about a statement, in place of what is known.
    pub(super) fn keep(&mut self, statement: Rendered, value: T) {
        if statement.values.len() > MOST_VALUES || length(&statement) > LONGEST {
            return;
        }
        let hash = statement.hash();
        match self.place_of(hash, &statement) {
            Some(known) => drop(self.entries.remove(known)),
            None if self.entries.len() == MOST => drop(self.entries.remove(0)),
            None => {}
        }
        self.entries.push(Entry { hash, statement, value });
    }

    /// Gives the memory back.
    pub(super) fn clear(&mut self) {
        self.entries = Vec::new();
    }

    fn place(&self, statement: &Rendered) -> Option<usize> {
        self.place_of(statement.hash(), statement)
    }

    fn place_of(&self, hash: u64, statement: &Rendered) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.hash == hash && entry.statement == *statement)
    }
}

/// The bytes of a statement's text, and of the texts and long numbers that it binds.
fn length(statement: &Rendered) -> usize {
    let bound = statement.values.iter().map(|value| match value {
        Value::String(Some(text)) => text.len(),
        Value::Bytes(Some(bytes)) => bytes.len(),
        Value::Json(Some(json)) => json.to_string().len(),
        Value::BigDecimal(Some(number)) => usize::try_from(number.digits()).unwrap_or(usize::MAX),
        _ => 0,
    });
    bound.fold(statement.sql.len(), usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(table: usize) -> Rendered {
        Rendered::of(&format!("SELECT count(*) FROM t{table}"))
    }

    #[test]
    fn what_is_asked_for_is_kept_longest() {
        let mut kept = Kept::default();
        for table in 0..2 * MOST {
            kept.keep(of(table), table);
            assert_eq!(kept.get(&of(0)), Some(&0));
        }
        assert_eq!(kept.entries.len(), MOST);
        assert_eq!(kept.peek(&of(1)), None);
        assert_eq!(kept.peek(&of(2 * MOST - 1)), Some(&(2 * MOST - 1)));
        kept.keep(of(0), 7);
        assert_eq!((kept.peek(&of(0)), kept.entries.len()), (Some(&7), MOST));
        let bound = Rendered { values: vec![1_i32.into()], ..of(0) };
        assert_eq!(kept.peek(&bound), None, "with other values it is another statement");
        kept.clear();
        assert_eq!(kept.entries.capacity(), 0);
    }

    #[test]
    fn no_more_is_kept_than_is_worth_it() {
        let mut kept = Kept::default();
        let many = Rendered { values: vec![1_i32.into(); MOST_VALUES + 1], ..of(0) };
        let long = Rendered::of(&"x".repeat(LONGEST + 1));
        let bound = Rendered { values: vec!["x".repeat(LONGEST).into()], ..of(0) };
        for statement in [many, long, bound] {
            kept.keep(statement.clone(), 1);
            assert_eq!(kept.peek(&statement), None);
        }
    }
}
