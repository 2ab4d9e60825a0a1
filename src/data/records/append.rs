//! The records at the other end of associations, read for many records at once.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;

use sea_query::{Cond, Expr, ExprTrait, JoinType, Order, Query as Statement, SelectStatement};
use serde_json::Value as Json;

use super::read::{Plan, compiler, key_text};
use super::value;
use super::within::open_between;
use crate::data::access::Action;
use crate::data::filter::Compiler;
use crate::data::query::Selection;
use crate::data::{
    Association, AssociationKind, Catalog, Collection, DataError, Field, Query, Record, table,
};
use crate::database::{Executor, Row};

/// Keys that one statement asks for; engines bind so many values at least.
const KEYS_AT_ONCE: usize = 1000;

/// The field of the record itself by which an association finds the others.
pub(super) fn key_here(association: &Association) -> &str {
    match association.kind {
        AssociationKind::BelongsTo => &association.foreign_key,
        _ => &association.source_key,
    }
}

/// Reads the associated records and puts them into the records.
pub(super) fn load<'a, E: Executor>(
    executor: &'a mut E,
    catalog: &'a Catalog,
    collection: &'a Collection,
    query: &'a Query,
    plan: &'a Plan<'_>,
    records: &'a mut [Record],
) -> Pin<Box<dyn Future<Output = Result<(), DataError>> + Send + 'a>> {
    Box::pin(async move {
        for (association, selection) in &plan.associations {
            let here = key_here(association);
            let kind = collection.known(here)?;
            let keys: BTreeMap<String, &Json> = records
                .iter()
                .filter_map(|record| record.get(here))
                .filter_map(|key| Some((key_text(key)?, key)))
                .collect();
            let keys: Vec<sea_query::Value> =
                keys.into_values().map(|key| value::operand(kind, key)).collect::<Result<_, _>>()?;
            let far = Far { catalog, association, target: catalog.target(association)?, selection, query };
            let mut found: HashMap<String, Vec<Record>> = HashMap::new();
            for keys in keys.chunks(KEYS_AT_ONCE) {
                for (key, record) in far.read(executor, keys).await? {
                    found.entry(key).or_default().push(record);
                }
            }
            for record in records.iter_mut() {
                let own = record.get(here).and_then(key_text);
                let theirs = own.and_then(|key| found.get(&key));
                let value = match (association.kind.is_many(), theirs) {
                    (true, theirs) => theirs.into_iter().flatten().cloned().map(Json::Object).collect(),
                    (false, theirs) => theirs
                        .and_then(|theirs| theirs.first())
                        .map_or(Json::Null, |record| Json::Object(record.clone())),
                };
                record.insert(association.name.to_string(), value);
            }
        }
        Ok(())
    })
}

/// The other end of an association.
struct Far<'a> {
    catalog: &'a Catalog,
    association: &'a Association,
    target: &'a Collection,
    selection: &'a Selection,
    query: &'a Query,
}

impl Far<'_> {
    /// The records that belong to some keys, each with its key.
    async fn read<E: Executor>(
        &self,
        executor: &mut E,
        keys: &[sea_query::Value],
    ) -> Result<Vec<(String, Record)>, DataError> {
        let through = match self.association.through {
            Some(_) => Some(self.catalog.through(self.association)?),
            None => None,
        };
        let (plan, link, statement) = {
            let compiler = compiler(executor, self.catalog, self.query);
            let plan = Plan::new(&compiler, self.target, self.selection, false)?;
            let link = through.map_or_else(Vec::new, |(between, other_key)| {
                open_between(&compiler, self.association, between, other_key)
            });
            let statement = match through {
                Some(through) => self.linked(&compiler, &plan, through, &link, keys)?,
                None => self.direct(&compiler, &plan, keys)?,
            };
            (plan, link, statement)
        };
        let rows = executor.query(&statement).await?;
        let between = through.map(|(between, _)| between);
        let key = self.key_there(between)?;
        let (mut texts, mut records) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in rows {
            let (text, record) =
                self.taken_apart(&plan, key, between.map(|between| (between, &*link)), row)?;
            texts.push(text);
            records.push(record);
        }
        if !plan.associations.is_empty() && !records.is_empty() {
            load(executor, self.catalog, self.target, self.query, &plan, &mut records).await?;
        }
        plan.tidy(&mut records);
        Ok(texts.into_iter().zip(records).collect())
    }

    /// The field there that the keys are in.
    fn key_there<'a>(
        &'a self,
        between: Option<&'a Collection>,
    ) -> Result<(&'a Collection, &'a Field), DataError> {
        let (collection, name) = match (self.association.kind, between) {
            (AssociationKind::BelongsTo, _) => (self.target, &self.association.target_key),
            (AssociationKind::BelongsToMany, Some(between)) => (between, &self.association.foreign_key),
            _ => (self.target, &self.association.foreign_key),
        };
        Ok((collection, collection.known(name)?))
    }

    /// A row: the record's columns, the key, and the columns of what is between the two.
    fn taken_apart(
        &self,
        plan: &Plan<'_>,
        (collection, key): (&Collection, &Field),
        between: Option<(&Collection, &[&Field])>,
        row: Row,
    ) -> Result<(String, Record), DataError> {
        let mut values = row.into_values().into_iter();
        let mut record = Record::new();
        for field in &plan.columns {
            let stored = values.next().unwrap_or(crate::database::Value::Null);
            record.insert(field.name().to_owned(), value::to_json(self.target, field, stored)?);
        }
        let stored = values.next().unwrap_or(crate::database::Value::Null);
        let text = key_text(&value::to_json(collection, key, stored)?).unwrap_or_default();
        if let Some((between, shown)) = between {
            let link = shown.iter().zip(values).map(|(field, stored)| {
                Ok((field.name().to_owned(), value::to_json(between, field, stored)?))
            });
            record.insert(between.name().to_owned(), Json::Object(link.collect::<Result<_, DataError>>()?));
        }
        Ok((text, record))
    }

    fn direct(
        &self,
        compiler: &Compiler<'_>,
        plan: &Plan<'_>,
        keys: &[sea_query::Value],
    ) -> Result<SelectStatement, DataError> {
        let (_, key) = self.key_there(None)?;
        let mut statement = Statement::select();
        statement.from(table::table(self.target, compiler.namespace));
        statement.columns(plan.columns.iter().map(|field| field.column().to_owned()));
        statement.column(key.column().to_owned());
        statement.and_where(Expr::col(key.column().to_owned()).is_in(keys.to_vec()));
        if let Some(scope) = compiler.scope(self.target, Action::View)? {
            statement.cond_where(compiler.unguarded().condition(self.target, None, &scope)?);
        }
        for field in self.target.primary_key() {
            statement.order_by(field.column().to_owned(), Order::Asc);
        }
        Ok(statement)
    }

    fn linked(
        &self,
        compiler: &Compiler<'_>,
        plan: &Plan<'_>,
        (between, other_key): (&Collection, &str),
        shown: &[&Field],
        keys: &[sea_query::Value],
    ) -> Result<SelectStatement, DataError> {
        let (there, link) = (compiler.alias(), compiler.alias());
        let column = |alias: &str, field: &Field| Expr::col((alias.to_owned(), field.column().to_owned()));
        let (_, key) = self.key_there(Some(between))?;
        let on = column(&link, between.known(other_key)?)
            .eq(column(&there, self.target.known(&self.association.target_key)?));
        let mut statement = Statement::select();
        statement.from(table::table(self.target, compiler.namespace).alias(there.clone())).join(
            JoinType::InnerJoin,
            table::table(between, compiler.namespace).alias(link.clone()),
            Cond::all().add(on),
        );
        for field in &plan.columns {
            statement.expr(column(&there, field));
        }
        statement.expr(column(&link, key));
        for field in shown {
            statement.expr(column(&link, field));
        }
        statement.and_where(column(&link, key).is_in(keys.to_vec()));
        if let Some(scope) = compiler.scope(self.target, Action::View)? {
            statement.cond_where(compiler.unguarded().condition(self.target, Some(&there), &scope)?);
        }
        for field in self.target.primary_key() {
            statement.order_by((there.clone(), field.column().to_owned()), Order::Asc);
        }
        Ok(statement)
    }
}
