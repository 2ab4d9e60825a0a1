//! Pages that are planned once. How the first twenty of the rows that fit are found best, depends on
//! how many are wanted and how many fit: PostgreSQL plans such a statement anew each time, for what
//! it binds, and takes about a quarter of the time for that.
//!
//! So what a connection asks again and again with the same values is prepared once more with these
//! values written in, and keeps its plan. That is for whole numbers alone (keys, and how many rows):
//! whatever they are, no text of anybody's comes into a statement.

use std::fmt::Write;
use std::time::{Duration, Instant};

use sea_query::Value as Bound;
use tokio_postgres::types::Type;

use crate::database::Rendered;
use crate::database::kept::Kept;

/// Plans that a connection keeps. Each costs the server some 35 KB.
const PLANS: usize = 32;
/// So many times something is asked before it is worth a plan of its own.
const TIMES: u32 = 5;
/// How long a plan is used. The server makes another one when it has looked at a table again, which
/// takes a minute or more; meanwhile the table may have become much larger.
const FRESH: Duration = Duration::from_secs(10);

/// The plans that a connection has made; `P` is a prepared statement.
#[derive(Debug)]
pub(super) struct Plans<P> {
    /// How often something was asked that has no plan.
    asked: Kept<u32>,
    /// With when they were made.
    made: Kept<(P, Instant)>,
}

/// How a statement is run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Planning<P> {
    /// As it is.
    EachTime,
    /// It is worth a plan, which is to be made and kept.
    Worth,
    /// By this plan.
    Made(P),
}

impl<P> Default for Plans<P> {
    fn default() -> Self {
        Self { asked: Kept::default(), made: Kept::at_most(PLANS) }
    }
}

impl<P: Clone> Plans<P> {
    /// Says how a statement is run that is asked now.
    pub(super) fn ask(&mut self, statement: &Rendered) -> Planning<P> {
        if statement.places.is_empty() || !statement.values.iter().all(|value| whole(value).is_some()) {
            return Planning::EachTime;
        }
        match self.made.get(statement) {
            Some((plan, made)) if made.elapsed() < FRESH => return Planning::Made(plan.clone()),
            Some(_) => return Planning::Worth,
            None => {}
        }
        match self.asked.get(statement) {
            Some(asked) if *asked >= TIMES => return Planning::Worth,
            Some(asked) => *asked += 1,
            None => self.asked.keep(statement.clone(), 1),
        }
        Planning::EachTime
    }

    /// Keeps a plan that was made now.
    pub(super) fn keep(&mut self, statement: &Rendered, plan: P) {
        // Where there are too many and this one goes, it is to be worth it again.
        self.asked.forget(statement);
        self.made.keep(statement.clone(), (plan, Instant::now()));
    }

    /// Drops all plans.
    pub(super) fn clear(&mut self) {
        self.asked.clear();
        self.made.clear();
    }
}

/// A statement with what it binds written in; `None` where it is not all whole numbers to the server
/// (`kinds`).
pub(super) fn written(statement: &Rendered, kinds: &[Type]) -> Option<String> {
    let Rendered { sql, values, places, .. } = statement;
    if kinds.len() != values.len() || places.len() != values.len() {
        return None;
    }
    let mut text = String::with_capacity(sql.len() + 16);
    let mut rest = 0;
    for (at, ((&place, value), kind)) in places.iter().zip(values).zip(kinds).enumerate() {
        let value = whole(value).filter(|_| matches!(*kind, Type::INT2 | Type::INT4 | Type::INT8))?;
        text.push_str(&sql[rest..place]);
        // In quotes it has no type of its own, like what is bound.
        let _ = write!(text, "'{value}'");
        rest = place + format!("${}", at + 1).len();
    }
    text.push_str(&sql[rest..]);
    Some(text)
}

fn whole(value: &Bound) -> Option<i64> {
    match *value {
        Bound::TinyInt(value) => value.map(i64::from),
        Bound::SmallInt(value) => value.map(i64::from),
        Bound::Int(value) => value.map(i64::from),
        Bound::BigInt(value) => value,
        Bound::TinyUnsigned(value) => value.map(i64::from),
        Bound::SmallUnsigned(value) => value.map(i64::from),
        Bound::Unsigned(value) => value.map(i64::from),
        Bound::BigUnsigned(value) => value.and_then(|value| i64::try_from(value).ok()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sea_query::{Expr, ExprTrait, Query};

    use super::*;
    use crate::database::{Engine, Statement};

    fn page(values: impl IntoIterator<Item = Bound>) -> Rendered {
        let mut page = Query::select().column("$1").from("t").limit(20).to_owned();
        for value in values {
            page.and_where(Expr::col("it's $2").ne(value));
        }
        page.render(Engine::Postgres)
    }

    #[test]
    fn what_comes_again_and_again_with_the_same_numbers_is_planned_once() {
        let mut plans = Plans::default();
        let one = page([1.into()]);
        for _ in 0..TIMES {
            assert_eq!(plans.ask(&one), Planning::EachTime);
        }
        assert_eq!(plans.ask(&one), Planning::Worth);
        plans.keep(&one, "one");
        assert_eq!(plans.ask(&one), Planning::Made("one"));
        assert_eq!(plans.ask(&page([2.into()])), Planning::EachTime, "another number");
        plans.made.get(&one).unwrap().1 = Instant::now().checked_sub(FRESH).unwrap();
        assert_eq!(plans.ask(&one), Planning::Worth, "it is too old");
        plans.keep(&one, "newer");
        assert_eq!(plans.ask(&one), Planning::Made("newer"));
        (0..PLANS).for_each(|number| plans.keep(&page([(number as u32 + 2).into()]), "other"));
        assert_eq!(plans.ask(&one), Planning::EachTime, "others took its place");
        plans.clear();
        assert_eq!(plans.ask(&one), Planning::EachTime);

        let all = Query::select().column("a").from("t").and_where(Expr::col("a").eq(1)).to_owned();
        for other in [page(["text".into()]), page([Bound::Int(None)]), all.render(Engine::Postgres)] {
            for _ in 0..3 * TIMES {
                assert_eq!(plans.ask(&other), Planning::EachTime, "{other:?}");
            }
        }
    }

    #[test]
    fn whole_numbers_are_written_where_they_stood() {
        let kinds = [Type::INT8, Type::INT4, Type::INT2, Type::INT8];
        let page_of_three = page([i64::MAX.into(), (-7_i32).into(), 12_u8.into()]);
        assert_eq!(
            written(&page_of_three, &kinds).unwrap(),
            r#"SELECT "$1" FROM "t" WHERE "it's $2" <> CAST('9223372036854775807' AS bigint) AND "it's $2" <> '-7' AND "it's $2" <> '12' LIMIT '20'"#
        );
        let many = page((0..11).map(Bound::from));
        assert!(written(&many, &vec![Type::INT8; 12]).unwrap().ends_with(r#""it's $2" <> '10' LIMIT '20'"#));
        for other in [Type::TEXT, Type::JSONB, Type::FLOAT8, Type::NUMERIC, Type::BOOL] {
            assert_eq!(written(&page([1.into()]), &[other, Type::INT8]), None);
        }
        assert_eq!(written(&page(["' OR true --".into()]), &[Type::INT8, Type::INT8]), None);
        assert_eq!(written(&page([1.into()]), &[Type::INT8]), None);
    }
}
