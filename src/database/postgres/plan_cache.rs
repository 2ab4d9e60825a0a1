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
const MAX_PLANS: usize = 32;
/// A statement gets a plan after recurring this often within [`MAX_AGE`].
const MIN_RECURRENCES: u32 = 5;
/// How long a plan is used. The server itself plans again only after it has analyzed a table, which takes a
/// minute or more; meanwhile the table may have grown a lot.
const MAX_AGE: Duration = Duration::from_secs(10);

/// The cached plans of a connection; `P` is a prepared statement.
#[derive(Debug)]
pub(super) struct PlanCache<P> {
    /// How often a statement without a plan has recurred, and since when.
    recurrences: StatementCache<(u32, Instant)>,
    /// The plans and when they were made; `None` if the statement cannot have one.
    plans: StatementCache<(Option<P>, Instant)>,
}

/// How to run a statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PlanDecision<P> {
    /// With bound values.
    Bind,
    /// With a plan that the caller is to make and store. No other caller is told so meanwhile.
    Prepare,
    /// With this plan.
    Use(P),
}

impl<P> Default for PlanCache<P> {
    fn default() -> Self {
        Self { recurrences: StatementCache::default(), plans: StatementCache::with_capacity(MAX_PLANS) }
    }
}

impl<P: Clone> PlanCache<P> {
    /// Decides how to run a statement now.
    pub(super) fn decide(&mut self, statement: &Rendered) -> PlanDecision<P> {
        if !is_eligible(statement) {
            return PlanDecision::Bind;
        }
        if let Some((plan, made)) = self.plans.get(statement) {
            if made.elapsed() < MAX_AGE {
                return plan.clone().map_or(PlanDecision::Bind, PlanDecision::Use);
            }
            self.plans.remove(statement);
        }
        match self.recurrences.get(statement) {
            Some((times, since)) if since.elapsed() < MAX_AGE => {
                if *times >= MIN_RECURRENCES {
                    self.recurrences.remove(statement);
                    return PlanDecision::Prepare;
                }
                *times += 1;
            }
            _ => self.recurrences.insert(statement, (1, Instant::now())),
        }
        PlanDecision::Bind
    }

    /// Stores a plan, or that there can be none.
    pub(super) fn insert(&mut self, statement: &Rendered, plan: Option<P>) {
        self.plans.evict_expired(|(_, made)| made.elapsed() >= MAX_AGE);
        self.plans.insert(statement, (plan, Instant::now()));
    }

    /// Removes all plans.
    pub(super) fn clear(&mut self) {
        self.plans.clear();
    }
}

fn is_eligible(statement: &Rendered) -> bool {
    !statement.placeholders.is_empty() && statement.values.iter().all(|value| whole(value).is_some())
}

/// Renders a statement with its values as literals; `None` unless the server expects whole numbers (`kinds`).
pub(super) fn with_literals(statement: &Rendered, kinds: &[Type]) -> Option<String> {
    let Rendered { sql, values, placeholders, .. } = statement;
    if kinds.len() != values.len() || placeholders.len() != values.len() {
        return None;
    }
    let mut text = String::with_capacity(sql.len() + 16);
    let mut rest = 0;
    for (at, ((&place, value), kind)) in placeholders.iter().zip(values).zip(kinds).enumerate() {
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

    fn decide_until_worth(plans: &mut PlanCache<&'static str>, statement: &Rendered) {
        for _ in 0..MIN_RECURRENCES {
            assert_eq!(plans.decide(statement), PlanDecision::Bind);
        }
        assert_eq!(plans.decide(statement), PlanDecision::Prepare);
    }

    fn age(since: &mut Instant) {
        *since = since.checked_sub(MAX_AGE).unwrap();
    }

    #[test]
    fn a_statement_that_recurs_with_the_same_numbers_gets_a_plan() {
        let mut plans = PlanCache::default();
        let one = page([1.into()]);
        decide_until_worth(&mut plans, &one);
        assert_eq!(plans.decide(&one), PlanDecision::Bind, "the plan is being prepared");
        plans.insert(&one, Some("one"));
        assert_eq!(plans.decide(&one), PlanDecision::Use("one"));
        assert_eq!(plans.decide(&page([2.into()])), PlanDecision::Bind, "another number");
        (0..MAX_PLANS).for_each(|number| plans.insert(&page([(number as u32 + 2).into()]), Some("other")));
        assert_eq!(plans.decide(&one), PlanDecision::Bind, "its plan was evicted");
        plans.clear();
        assert_eq!(plans.decide(&page([3.into()])), PlanDecision::Bind);
    }

    #[test]
    fn a_rare_statement_gets_no_plan() {
        let mut plans = PlanCache::default();
        let one = page([1.into()]);
        for _ in 0..3 * MIN_RECURRENCES {
            assert_eq!(plans.decide(&one), PlanDecision::Bind);
            age(&mut plans.recurrences.get(&one).unwrap().1);
        }
        decide_until_worth(&mut plans, &one);
        plans.insert(&one, Some("one"));
        age(&mut plans.plans.get(&one).unwrap().1);
        decide_until_worth(&mut plans, &one);
        plans.insert(&one, Some("newer"));
        age(&mut plans.plans.get(&one).unwrap().1);
        plans.insert(&page([2.into()]), None);
        assert!(
            plans.plans.peek(&one).is_none(),
            "an expired plan is evicted, even if its statement does not recur"
        );
    }

    #[test]
    fn an_ineligible_statement_is_not_tried_again() {
        let mut plans = PlanCache::default();
        let one = page([1.into()]);
        decide_until_worth(&mut plans, &one);
        plans.insert(&one, None);
        let all = Query::select().column("a").from("t").and_where(Expr::col("a").eq(1)).to_owned();
        let [text, null] = [page(["text".into()]), page([Bound::Int(None)])];
        for other in [one, text, null, all.render(Engine::Postgres)] {
            for _ in 0..3 * MIN_RECURRENCES {
                assert_eq!(plans.decide(&other), PlanDecision::Bind, "{other:?}");
            }
        }
    }

    #[test]
    fn whole_numbers_replace_their_placeholders() {
        let kinds = [Type::INT8, Type::INT4, Type::INT2, Type::INT8];
        let page_of_three = page([i64::MAX.into(), (-7_i32).into(), 12_u8.into()]);
        assert_eq!(
            with_literals(&page_of_three, &kinds).unwrap(),
            r#"SELECT "$1" FROM "t" WHERE "it's $2" <> CAST('9223372036854775807' AS bigint) AND "it's $2" <> '-7' AND "it's $2" <> '12' LIMIT '20'"#
        );
        let many = page((0..11).map(Bound::from));
        assert!(
            with_literals(&many, &[const { Type::INT8 }; 12])
                .unwrap()
                .ends_with(r#""it's $2" <> '10' LIMIT '20'"#)
        );
        for other in [Type::TEXT, Type::JSONB, Type::FLOAT8, Type::NUMERIC, Type::BOOL] {
            assert_eq!(with_literals(&page([1.into()]), &[other, Type::INT8]), None);
        }
        assert_eq!(with_literals(&page(["' OR true --".into()]), &[Type::INT8, Type::INT8]), None);
        assert_eq!(with_literals(&page([1.into()]), &[Type::INT8]), None);
        assert_eq!(with_literals(&page([40_000.into()]), &[Type::INT2, Type::INT8]), None, "it does not fit");
        let longer = Rendered { sql: format!("/* */ {}", page([1.into()]).sql), ..page([1.into()]) };
        assert_eq!(with_literals(&longer, &[Type::INT8, Type::INT8]), None, "the placeholders are elsewhere");
    }
}
