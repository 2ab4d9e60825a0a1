//! Caches plans of pages. The best plan for the first twenty matching rows depends on how many match, so
//! PostgreSQL plans such a statement again for each set of bound values, which takes about a quarter of the
//! time of reading a page.
//!
//! Therefore a statement that recurs with the same values on a connection is prepared once more with these
//! values as literals, and keeps that plan for some time. This is limited to whole numbers (keys, and numbers
//! of rows), so that no user's text ever becomes part of a statement.

use std::fmt::Write;
use std::time::{Duration, Instant};

use sea_query::Value as Bound;
use tokio_postgres::types::Type;

use crate::database::Rendered;
use crate::database::statement_cache::StatementCache;

/// The limit on plans for each connection. Each costs the server some 35 KB.
const PLANS: usize = 32;
/// A statement gets a plan after recurring this often within [`FRESH`].
const TIMES: u32 = 5;
/// How long a plan is used. The server itself plans again only after it has analyzed a table, which takes a
/// minute or more; meanwhile the table may have grown a lot.
const FRESH: Duration = Duration::from_secs(10);

/// The cached plans of a connection; `P` is a prepared statement.
#[derive(Debug)]
pub(super) struct Plans<P> {
    /// How often a statement without a plan has recurred, and since when.
    asked: StatementCache<(u32, Instant)>,
    /// The plans and when they were made; `None` if the statement cannot have one.
    made: StatementCache<(Option<P>, Instant)>,
}

/// How to run a statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Planning<P> {
    /// With bound values.
    EachTime,
    /// With a plan that the caller is to make and store. No other caller is told so meanwhile.
    Worth,
    /// With this plan.
    Made(P),
}

impl<P> Default for Plans<P> {
    fn default() -> Self {
        Self { asked: StatementCache::default(), made: StatementCache::at_most(PLANS) }
    }
}

impl<P: Clone> Plans<P> {
    /// Decides how to run a statement now.
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

    /// Stores a plan, or that there can be none.
    pub(super) fn keep(&mut self, statement: &Rendered, plan: Option<P>) {
        self.made.forget_unused(|(_, made)| made.elapsed() >= FRESH);
        self.made.keep(statement, (plan, Instant::now()));
    }

    /// Removes all plans.
    pub(super) fn clear(&mut self) {
        self.made.clear();
    }
}

fn can_be_written(statement: &Rendered) -> bool {
    !statement.places.is_empty() && statement.values.iter().all(|value| whole(value).is_some())
}

/// Renders a statement with its values as literals; `None` unless the server expects whole numbers (`kinds`).
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
        // A quoted literal has no type of its own, like a bound value.
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
