//! Loads the associated records of many records at once. Responses are written from rows without building
//! records (`json_rows.rs`), with the statements of this file.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;

use sea_query::{Cond, Expr, ExprTrait, JoinType, Query as Statement, SelectStatement};
use serde_json::Value as Json;

use super::order_by;
use super::parent_scope::visible_link_fields;
use super::read_plan::{ReadPlan, compiler, local_key};
use super::value;
use super::value::key_text;
use crate::data::access::RecordAction;
use crate::data::filter::{self, Compiler};
use crate::data::query::Selection;
use crate::data::{
    Association, AssociationKind, Catalog, Collection, DataError, Field, Query, Record, table,
};
use crate::database::{Engine, Executor, Row};

/// Limit of keys in one statement; every engine binds as many values.
pub(super) const MAX_KEYS_PER_STATEMENT: usize = 1000;

/// Loads the associated records of a plan and inserts them into the records.
pub(super) fn load<'a, E: Executor>(
    executor: &'a mut E,
    catalog: &'a Catalog,
    collection: &'a Collection,
    query: &'a Query,
    plan: &'a ReadPlan<'_>,
    records: &'a mut [Record],
) -> Pin<Box<dyn Future<Output = Result<(), DataError>> + Send + 'a>> {
    Box::pin(async move {
        for (association, selection) in &plan.associations {
            let here = local_key(association);
            let kind = collection.known(here)?;
            let keys = distinct_keys(
                executor.namespace().engine,
                kind,
                records.iter().filter_map(|record| record.get(here)),
            )?;
            let reader = AssociationReader {
                catalog,
                association,
                target: catalog.target(association)?,
                selection,
                query,
            };
            let mut found: HashMap<String, Vec<Record>> = HashMap::new();
            for keys in keys.chunks(MAX_KEYS_PER_STATEMENT) {
                for (key, record) in reader.read(executor, keys).await? {
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

/// Converts keys to operands, each once and without null.
pub(super) fn distinct_keys<'a>(
    engine: Engine,
    field: &Field,
    keys: impl Iterator<Item = &'a Json>,
) -> Result<Vec<Expr>, DataError> {
    let keys: BTreeMap<String, &Json> = keys.filter_map(|key| Some((key_text(key)?, key))).collect();
    filter::exact_operands(engine, field, keys.into_values())
}

/// Reads the target's records of an association.
pub(super) struct AssociationReader<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) association: &'a Association,
    pub(super) target: &'a Collection,
    pub(super) selection: &'a Selection,
    pub(super) query: &'a Query,
}

/// A through collection, with the fields of its records that the requester may see.
pub(super) type LinkFields<'a> = (&'a Collection, Vec<&'a Field>);

/// Rows of the target: the plan's columns, the key of the record that the row belongs to, and the fields of
/// the link.
pub(super) struct AssociatedRows<'a> {
    pub(super) plan: ReadPlan<'a>,
    /// The field of that key, and its collection.
    pub(super) key: (&'a Collection, &'a Field),
    pub(super) link_fields: Option<LinkFields<'a>>,
    pub(super) rows: Vec<Row>,
}

impl<'a> AssociationReader<'a> {
    /// Reads the records that belong to these keys, each with its key.
    async fn read<E: Executor>(
        &self,
        executor: &mut E,
        keys: &[Expr],
    ) -> Result<Vec<(String, Record)>, DataError> {
        let AssociatedRows { plan, key, link_fields, rows } = self.rows(executor, keys).await?;
        let (mut texts, mut records) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in rows {
            let (text, record) = self.split_row(&plan, key, link_fields.as_ref(), row)?;
            texts.push(text);
            records.push(record);
        }
        if !plan.associations.is_empty() && !records.is_empty() {
            load(executor, self.catalog, self.target, self.query, &plan, &mut records).await?;
        }
        plan.remove_unselected(&mut records);
        Ok(texts.into_iter().zip(records).collect())
    }

    /// Reads the rows that belong to these keys.
    pub(super) async fn rows<E: Executor>(
        &self,
        executor: &mut E,
        keys: &[Expr],
    ) -> Result<AssociatedRows<'a>, DataError> {
        let through = match self.association.through {
            Some(_) => Some(self.catalog.through(self.association)?),
            None => None,
        };
        let (plan, link_fields, statement) = {
            let compiler = compiler(executor, self.catalog, self.query);
            let plan = ReadPlan::new(&compiler, self.target, self.selection, false)?;
            let link_fields = through.map(|(through, other_key)| {
                (through, visible_link_fields(&compiler, self.association, through, other_key))
            });
            let statement = match (through, &link_fields) {
                (Some(through), Some((_, shown))) => self.linked(&compiler, &plan, through, shown, keys)?,
                _ => self.direct(&compiler, &plan, keys)?,
            };
            (plan, link_fields, statement)
        };
        let key = self.remote_key(link_fields.as_ref().map(|(through, _)| *through))?;
        let rows = executor.query(&statement).await?;
        Ok(AssociatedRows { plan, key, link_fields, rows })
    }

    /// Returns the field that refers to the keys, and its collection.
    fn remote_key(&self, through: Option<&'a Collection>) -> Result<(&'a Collection, &'a Field), DataError> {
        let (collection, name) = match (self.association.kind, through) {
            (AssociationKind::BelongsTo, _) => (self.target, &self.association.target_key),
            (AssociationKind::BelongsToMany, Some(through)) => (through, &self.association.foreign_key),
            _ => (self.target, &self.association.foreign_key),
        };
        Ok((collection, collection.known(name)?))
    }

    /// Splits a row into the key that it belongs to and the record, with its link.
    fn split_row(
        &self,
        plan: &ReadPlan<'_>,
        (collection, key): (&Collection, &Field),
        link_fields: Option<&LinkFields<'_>>,
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
        if let Some((through, fields)) = link_fields {
            let link = fields.iter().zip(values).map(|(field, stored)| {
                Ok((field.name().to_owned(), value::to_json(through, field, stored)?))
            });
            record.insert(through.name().to_owned(), Json::Object(link.collect::<Result<_, DataError>>()?));
        }
        Ok((text, record))
    }

    fn direct(
        &self,
        compiler: &Compiler<'_>,
        plan: &ReadPlan<'_>,
        keys: &[Expr],
    ) -> Result<SelectStatement, DataError> {
        let (_, key) = self.remote_key(None)?;
        let mut statement = Statement::select();
        statement.from(table::table(self.target, compiler.namespace));
        statement.columns(plan.columns.iter().map(|field| field.column().to_owned()));
        statement.column(key.column().to_owned());
        statement.and_where(Expr::col(key.column().to_owned()).is_in(keys.to_vec()));
        if let Some(scope) = compiler.scope(self.target, RecordAction::View)? {
            statement.cond_where(compiler.unguarded().condition(self.target, None, &scope)?);
        }
        order_by::tiebreakers(compiler, self.target, None, &mut statement, &[], &[]);
        Ok(statement)
    }

    fn linked(
        &self,
        compiler: &Compiler<'_>,
        plan: &ReadPlan<'_>,
        (through, other_key): (&Collection, &str),
        shown: &[&Field],
        keys: &[Expr],
    ) -> Result<SelectStatement, DataError> {
        let (target_alias, link) = (compiler.alias(), compiler.alias());
        let column = |alias: &str, field: &Field| Expr::col((alias.to_owned(), field.column().to_owned()));
        let (_, key) = self.remote_key(Some(through))?;
        let on = column(&link, through.known(other_key)?)
            .eq(column(&target_alias, self.target.known(&self.association.target_key)?));
        let mut statement = Statement::select();
        statement.from(table::table(self.target, compiler.namespace).alias(target_alias.clone())).join(
            JoinType::InnerJoin,
            table::table(through, compiler.namespace).alias(link.clone()),
            Cond::all().add(on),
        );
        for field in &plan.columns {
            statement.expr(column(&target_alias, field));
        }
        statement.expr(column(&link, key));
        for field in shown {
            statement.expr(column(&link, field));
        }
        statement.and_where(column(&link, key).is_in(keys.to_vec()));
        if let Some(scope) = compiler.scope(self.target, RecordAction::View)? {
            statement.cond_where(compiler.unguarded().condition(self.target, Some(&target_alias), &scope)?);
        }
        order_by::tiebreakers(compiler, self.target, Some(&target_alias), &mut statement, &[], &[]);
        // Two records may be linked more than once.
        let of_both = |field: &Field| [&*self.association.foreign_key, other_key].contains(&field.name());
        if !(through.primary_key().next().is_some() && through.primary_key().all(of_both)) {
            order_by::tiebreakers(compiler, through, Some(&link), &mut statement, &[], &[]);
        }
        Ok(statement)
    }
}
