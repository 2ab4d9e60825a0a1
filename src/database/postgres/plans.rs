//! Plans of pages. How the first twenty of the rows that fit are found best, depends on how many fit:
//! PostgreSQL plans a statement that binds what they are chosen by anew each time, and takes about a
//! quarter of the time of reading a page for that.
//!
//! So what a connection is asked again and again with the same values is prepared once more with these
//! written in, and has one plan for some time. That is for whole numbers alone (keys, and numbers of
//! rows): whatever they are, no text of anybody's comes into a statement.

use std::fmt::Write;
use std::time::{Duration, Instant};

use sea_query::Value as Bound;
use tokio_postgres::types::Type;

use crate::database::Rendered;
use crate::database::statement_cache::StatementCache;

/// Plans that a connection keeps. Each costs the server some 35 KB.
const PLANS: usize = 32;
/// So many times something is asked, in the time that a plan is used, before it is worth one.
const TIMES: u32 = 5;
/// How long a plan is used. The server makes another one when it has looked at a table again, which
/// takes a minute or more; meanwhile the table may have become much larger.
const FRESH: Duration = Duration::from_secs(10);

/// The plans that a connection has made; `P` is a prepared statement.
#[derive(Debug)]
pub(super) struct Plans<P> {
    /// How often something was asked that has no plan, since when.
    asked: StatementCache<(u32, Instant)>,
    /// Since when; `None` where nothing can be written in.
    made: StatementCache<(Option<P>, Instant)>,
}

/// How a statement is run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Planning<P> {
    /// As it is.
    EachTime,
    /// It is worth a plan, which is to be made and kept. Nobody else is told so meanwhile.
    Worth,
    /// By this plan.
    Made(P),
}

impl<P> Default for Plans<P> {
    fn default() -> Self {
        Self { asked: StatementCache::default(), made: StatementCache::at_most(PLANS) }
    }
}

impl<P: Clone> Plans<P> {
    /// Says how a statement is run that is asked now.
    pub(super) fn ask(&mut self, statement: &Rendered) -> Planning<P> {
        if !can_be_written(statement) {
            return Planning::EachTime;
        }
        if let Some((plan, made)) = self.made.get(statement) {
            if made.elapsed() < FRESH {
                return plan.clone().map_or(Planning::EachTime, Planning::Made);
            }
            self.made.forget(statement);
        }
        match self.asked.get(statement) {
            Some((times, since)) if since.elapsed() < FRESH => {
                if *times >= TIMES {
                    self.asked.forget(statement);
                    return Planning::Worth;
                }
                *times += 1;
            }
            _ => self.asked.keep(statement, (1, Instant::now())),
        }
        Planning::EachTime
    }

    /// Keeps a plan that was made now, or that there can be none.
    pub(super) fn keep(&mut self, statement: &Rendered, plan: Option<P>) {
        self.made.forget_unused(|(_, made)| made.elapsed() >= FRESH);
        self.made.keep(statement, (plan, Instant::now()));
    }

    /// Drops all plans.
    pub(super) fn clear(&mut self) {
        self.made.clear();
    }
}

fn can_be_written(statement: &Rendered) -> bool {
    !statement.places.is_empty() && statement.values.iter().all(|value| whole(value).is_some())
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
        let value = whole(value).filter(|&value| fits(value, kind))?;
        let name = format!("${}", at + 1);
        sql.get(place..)?.strip_prefix(&name)?;
        text.push_str(sql.get(rest..place)?);
        // In quotes it has no type of its own, like what is bound.
        let _ = write!(text, "'{value}'");
        rest = place + name.len();
    }
    text.push_str(&sql[rest..]);
    Some(text)
}

fn fits(value: i64, kind: &Type) -> bool {
    match *kind {
        Type::INT2 => i16::try_from(value).is_ok(),
        Type::INT4 => i32::try_from(value).is_ok(),
        Type::INT8 => true,
        _ => false,
    }
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

    fn ask_until_worth(plans: &mut Plans<&'static str>, statement: &Rendered) {
        for _ in 0..TIMES {
            assert_eq!(plans.ask(statement), Planning::EachTime);
        }
        assert_eq!(plans.ask(statement), Planning::Worth);
    }

    fn age(since: &mut Instant) {
        *since = since.checked_sub(FRESH).unwrap();
    }

    #[test]
    fn what_comes_again_and_again_with_the_same_numbers_has_a_plan() {
        let mut plans = Plans::default();
        let one = page([1.into()]);
        ask_until_worth(&mut plans, &one);
        assert_eq!(plans.ask(&one), Planning::EachTime, "it is being made");
        plans.keep(&one, Some("one"));
        assert_eq!(plans.ask(&one), Planning::Made("one"));
        assert_eq!(plans.ask(&page([2.into()])), Planning::EachTime, "another number");
        (0..PLANS).for_each(|number| plans.keep(&page([(number as u32 + 2).into()]), Some("other")));
        assert_eq!(plans.ask(&one), Planning::EachTime, "others took its place");
        plans.clear();
        assert_eq!(plans.ask(&page([3.into()])), Planning::EachTime);
    }

    #[test]
    fn what_seldom_comes_has_none() {
        let mut plans = Plans::default();
        let one = page([1.into()]);
        for _ in 0..3 * TIMES {
            assert_eq!(plans.ask(&one), Planning::EachTime);
            age(&mut plans.asked.get(&one).unwrap().1);
        }
        ask_until_worth(&mut plans, &one);
        plans.keep(&one, Some("one"));
        age(&mut plans.made.get(&one).unwrap().1);
        ask_until_worth(&mut plans, &one);
        plans.keep(&one, Some("newer"));
        age(&mut plans.made.get(&one).unwrap().1);
        plans.keep(&page([2.into()]), None);
        assert!(plans.made.peek(&one).is_none(), "too old, it is closed also where nobody asks for it");
    }

    #[test]
    fn what_cannot_be_written_is_not_tried_again() {
        let mut plans = Plans::default();
        let one = page([1.into()]);
        ask_until_worth(&mut plans, &one);
        plans.keep(&one, None);
        let all = Query::select().column("a").from("t").and_where(Expr::col("a").eq(1)).to_owned();
        let [text, null] = [page(["text".into()]), page([Bound::Int(None)])];
        for other in [one, text, null, all.render(Engine::Postgres)] {
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
        assert!(
            written(&many, &[const { Type::INT8 }; 12]).unwrap().ends_with(r#""it's $2" <> '10' LIMIT '20'"#)
        );
        for other in [Type::TEXT, Type::JSONB, Type::FLOAT8, Type::NUMERIC, Type::BOOL] {
            assert_eq!(written(&page([1.into()]), &[other, Type::INT8]), None);
        }
        assert_eq!(written(&page(["' OR true --".into()]), &[Type::INT8, Type::INT8]), None);
        assert_eq!(written(&page([1.into()]), &[Type::INT8]), None);
        assert_eq!(written(&page([40_000.into()]), &[Type::INT2, Type::INT8]), None, "it does not fit");
        let longer = Rendered { sql: format!("/* */ {}", page([1.into()]).sql), ..page([1.into()]) };
        assert_eq!(written(&longer, &[Type::INT8, Type::INT8]), None, "another text");
    }
}
