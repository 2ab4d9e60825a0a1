//! Joins the associated records that a filter or a sort order refers to.
//!
//! All conditions of a filter on the same association apply to the same associated record, as in NocoBase:
//! `{"tags.name": "a", "tags.color": "red"}` matches records with a tag that is both.

use sea_query::{Condition, Expr, ExprTrait, IntoTableRef, JoinType, SelectStatement, TableRef};

use super::Compiler;
use crate::data::access::RecordAction;
use crate::data::{Association, AssociationKind, Catalog, Collection, DataError, Field, table};
use crate::database::Engine;

/// Limit of joined tables in one statement. MariaDB allows 61 and SQLite 64, but PostgreSQL takes half a
/// minute to plan a statement with a condition on any of 40.
const MAX_TABLES: usize = 25;

/// The collections that are joined to a base collection, each path once.
pub(in crate::data) struct Joins<'a> {
    compiler: &'a Compiler<'a>,
    base: &'a Collection,
    alias: String,
    joined: Vec<Join<'a>>,
}

struct Join<'a> {
    path: String,
    alias: String,
    collection: &'a Collection,
    /// The through collection of a belongsToMany: its table, its alias and its condition.
    through: Option<(TableRef, String, Condition)>,
    on: Condition,
}

impl<'a> Joins<'a> {
    /// Begins at a collection, under a new alias.
    pub(in crate::data) fn new(compiler: &'a Compiler<'a>, base: &'a Collection) -> Self {
        Self { compiler, base, alias: compiler.alias(), joined: Vec::new() }
    }

    /// Returns the alias of the base collection.
    pub(in crate::data) fn alias(&self) -> &str {
        &self.alias
    }

    /// Returns the column that a path leads to; for an association, the target's key.
    pub(in crate::data) fn column(&mut self, path: &str) -> Result<(Expr, &'a Field), DataError> {
        let (mut collection, mut alias, mut walked) = (self.base, self.alias.clone(), String::new());
        for step in path.split('.') {
            let Some(association) = collection.associated(step) else {
                // A column must be the last step.
                let field = collection.known(step)?;
                let rest = path.strip_prefix(&walked).unwrap_or(path).trim_start_matches('.');
                if rest != step {
                    return Err(collection.unknown(rest));
                }
                return Ok((Expr::col((alias, field.column().to_owned())), field));
            };
            if !walked.is_empty() {
                walked.push('.');
            }
            walked.push_str(step);
            (alias, collection) = self.join(&walked, collection, &alias, association)?;
        }
        let key = collection.single_key()?;
        Ok((Expr::col((alias, key.column().to_owned())), key))
    }

    fn join(
        &mut self,
        path: &str,
        from: &'a Collection,
        from_alias: &str,
        association: &'a Association,
    ) -> Result<(String, &'a Collection), DataError> {
        if let Some(known) = self.joined.iter().find(|joined| joined.path == path) {
            return Ok((known.alias.clone(), known.collection));
        }
        self.check_table_count(path, association)?;
        let compiler = self.compiler;
        let catalog = compiler.catalog;
        let target = catalog.target(association)?;
        let alias = compiler.alias();
        let column = |alias: &str, collection: &Collection, field: &str| -> Result<Expr, DataError> {
            Ok(Expr::col((alias.to_owned(), collection.known(field)?.column().to_owned())))
        };
        let mut through = None;
        let on =
            match association.kind {
                AssociationKind::BelongsTo => column(&alias, target, &association.target_key)?
                    .equals_to(column(from_alias, from, &association.foreign_key)?),
                AssociationKind::HasOne | AssociationKind::HasMany => column(
                    &alias,
                    target,
                    &association.foreign_key,
                )?
                .equals_to(column(from_alias, from, &association.source_key)?),
                AssociationKind::BelongsToMany => {
                    let (between, other_key) = catalog.through(association)?;
                    let link = compiler.alias();
                    let on = column(&link, between, &association.foreign_key)?.equals_to(column(
                        from_alias,
                        from,
                        &association.source_key,
                    )?);
                    let on_target = column(&alias, target, &association.target_key)?
                        .equals_to(column(&link, between, other_key)?);
                    let table = table::table(between, compiler.namespace).alias(link.clone());
                    through = Some((table, link, Condition::all().add(on)));
                    on_target
                }
            };
        if compiler.namespace.engine == Engine::Postgres {
            check_types(catalog, from, target, association)?;
        }
        let mut on = Condition::all().add(on);
        // Records that the requester may not see count as missing.
        if let Some(scope) = compiler.scope(target, RecordAction::View)? {
            on = on.add(compiler.unguarded().condition(target, Some(&alias), &scope)?);
        }
        self.joined.push(Join {
            path: path.to_owned(),
            alias: alias.clone(),
            collection: target,
            through,
            on,
        });
        Ok((alias, target))
    }

    /// Checks that a statement may join the tables of one more association.
    fn check_table_count(&self, path: &str, association: &Association) -> Result<(), DataError> {
        let links = self.joined.iter().filter(|joined| joined.through.is_some()).count();
        let own = if association.through.is_some() { 2 } else { 1 };
        if 1 + self.joined.len() + links + own <= MAX_TABLES {
            return Ok(());
        }
        Err(DataError::Refused(format!(
            "{path}: a filter or a sort order leads through at most {} associations, where a belongsToMany counts twice",
            MAX_TABLES - 1
        )))
    }

    /// Adds the base collection and all joins to a statement.
    pub(in crate::data) fn add_to(self, statement: &mut SelectStatement) {
        let namespace = self.compiler.namespace;
        statement.from(table::table(self.base, namespace).alias(self.alias));
        for joined in self.joined {
            if let Some((table, _, on)) = joined.through {
                statement.join(JoinType::LeftJoin, table, on);
            }
            let table = table::table(joined.collection, namespace).alias(joined.alias);
            statement.join(JoinType::LeftJoin, table.into_table_ref(), joined.on);
        }
    }
}

/// Refuses an association whose fields have different types, on PostgreSQL, which cannot compare them. Such
/// associations were allowed in earlier versions.
fn check_types(
    catalog: &Catalog,
    from: &Collection,
    target: &Collection,
    association: &Association,
) -> Result<(), DataError> {
    let pairs = match association.kind {
        AssociationKind::BelongsTo => {
            vec![((from, &*association.foreign_key), (target, &*association.target_key))]
        }
        AssociationKind::HasOne | AssociationKind::HasMany => {
            vec![((target, &*association.foreign_key), (from, &*association.source_key))]
        }
        AssociationKind::BelongsToMany => {
            let (between, other_key) = catalog.through(association)?;
            vec![
                ((between, &*association.foreign_key), (from, &*association.source_key)),
                ((between, other_key), (target, &*association.target_key)),
            ]
        }
    };
    for ((collection, referring), (other, referred)) in pairs {
        let (referring, referred) = (collection.known(referring)?, other.known(referred)?);
        let alike = |field: &Field| std::mem::discriminant(&field.column_type());
        if alike(referring) != alike(referred) {
            association.check_fields((collection, referring), (other, referred))?;
        }
    }
    Ok(())
}

/// Compares one column with another.
trait EqualsTo {
    fn equals_to(self, other: Expr) -> Expr;
}

impl EqualsTo for Expr {
    fn equals_to(self, other: Expr) -> Expr {
        ExprTrait::eq(self, other)
    }
}
