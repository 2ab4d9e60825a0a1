//! What to read: which records, in which order, how many, with which fields.

use super::Filter;

/// One step of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The field.
    pub field: String,
    /// From the greatest to the least.
    pub descending: bool,
}

impl Sort {
    /// From the least to the greatest; records without a value come last.
    pub fn ascending(field: impl Into<String>) -> Self {
        Self { field: field.into(), descending: false }
    }

    /// From the greatest to the least; records without a value come first.
    pub fn descending(field: impl Into<String>) -> Self {
        Self { field: field.into(), descending: true }
    }
}

/// What to read. `Query::default()` is everything, in no order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// Which.
    pub filter: Filter,
    /// In which order.
    pub sort: Vec<Sort>,
    /// At most so many.
    pub limit: Option<u64>,
    /// Leaving out so many first; needs an order to mean anything.
    pub offset: u64,
    /// With these fields only; empty for all that are not hidden.
    pub fields: Vec<String>,
}

impl Query {
    /// The records that fit, with all fields that are not hidden.
    #[must_use]
    pub fn filter(filter: Filter) -> Self {
        Self { filter, ..Self::default() }
    }

    /// In this order, after what was said before.
    #[must_use]
    pub fn sort(mut self, sort: Sort) -> Self {
        self.sort.push(sort);
        self
    }

    /// At most so many.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// With these fields, hidden ones too.
    #[must_use]
    pub fn fields(mut self, fields: &[&str]) -> Self {
        self.fields = fields.iter().map(|&field| field.to_owned()).collect();
        self
    }
}
