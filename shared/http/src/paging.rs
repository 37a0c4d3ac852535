//! Lists: `limit` with `offset`, `page` with `size` as older clients send them, or `cursor`.

use std::borrow::Cow;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use erp_contracts::Page;
use erp_contracts::store::From;
use erp_domain::Invalid;
use serde::Serialize;
use uuid::Uuid;

use crate::{FieldError, Problem};

/// Rows of a page when nothing is said.
pub const DEFAULT_LIMIT: usize = 10;
/// Rows of a page at most.
pub const MAX_LIMIT: usize = 100;
/// Rows that can be skipped; to go deeper there is `cursor`, which does not read what it skips.
pub const MAX_OFFSET: usize = 10_000;

/// The query of a list: the page, and the filters that are left when it is taken out.
#[derive(Debug)]
pub struct ListQuery {
    /// Which part of the list.
    pub page: Page,
    filters: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

/// What a list says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Meta {
    /// Rows asked for.
    pub limit: usize,
    /// Rows skipped; 0 with a cursor.
    pub offset: usize,
    /// Rows in this answer.
    pub count: usize,
    /// Give it as `cursor` to read on; null at the end.
    pub next_cursor: Option<String>,
}

impl Meta {
    /// About a page of `count` rows that is followed by others if `next` names its last row.
    pub fn new(page: Page, count: usize, next: Option<Uuid>) -> Self {
        let offset = match page.from {
            From::Offset(offset) => offset,
            From::After(_) => 0,
        };
        Self { limit: page.limit, offset, count, next_cursor: next.map(encode) }
    }
}

fn encode(last: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(last.as_bytes())
}

fn decode(cursor: &str) -> Option<Uuid> {
    URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| Uuid::from_slice(&bytes).ok())
}

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(pairs) =
            Query::<Vec<(String, String)>>::from_request_parts(parts, state).await.map_err(|_| {
                Problem::invalid(vec![FieldError::parameter("query", &Invalid::new("cannot be read"))])
            })?;
        Ok(Self::read(pairs))
    }
}

impl ListQuery {
    fn read(pairs: Vec<(String, String)>) -> Self {
        let mut query = Self {
            page: Page { limit: DEFAULT_LIMIT, from: From::Offset(0) },
            filters: pairs,
            errors: Vec::new(),
        };
        let limit = query.number("limit", 1, MAX_LIMIT);
        let size = query.number("size", 1, MAX_LIMIT);
        let offset = query.number("offset", 0, MAX_OFFSET);
        let page = query.number("page", 1, MAX_OFFSET);
        let cursor =
            query.filter("cursor", |text| decode(text).ok_or_else(|| Invalid::new("is no cursor of a list")));

        if limit.is_some() && size.is_some() {
            query.fault("size", "says what limit says; give one of them");
        }
        if [offset.is_some(), page.is_some(), cursor.is_some()].into_iter().filter(|given| *given).count() > 1
        {
            query.fault(
                if cursor.is_some() { "cursor" } else { "page" },
                "goes with no other way to say where to start",
            );
        }
        query.page.limit = limit.or(size).unwrap_or(DEFAULT_LIMIT);
        let skipped = offset.or_else(|| page.map(|page| (page - 1).saturating_mul(query.page.limit)));
        if skipped.is_some_and(|skipped| skipped > MAX_OFFSET) {
            query.fault("page", &format!("lies behind row {MAX_OFFSET}; use cursor to go that deep"));
        }
        query.page.from = cursor.map_or(From::Offset(skipped.unwrap_or(0)), From::After);
        query
    }

    fn fault(&mut self, name: &str, reason: &str) {
        self.errors.push(FieldError::parameter(name, &Invalid::new(reason)));
    }

    fn number(&mut self, name: &str, min: usize, max: usize) -> Option<usize> {
        self.filter(name, |text| {
            let out_of_range = || Invalid::new(format!("must be a whole number from {min} to {max}"));
            let number = text.parse().map_err(|_| out_of_range())?;
            if (min..=max).contains(&number) { Ok(number) } else { Err(out_of_range()) }
        })
    }

    /// Takes a filter out of the query.
    pub fn filter<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, Invalid>) -> Option<T> {
        let mut values: Vec<Cow<'static, str>> = Vec::new();
        self.filters.retain(|(key, value)| {
            let taken = key == name;
            if taken {
                values.push(Cow::Owned(value.clone()));
            }
            !taken
        });
        if values.len() > 1 {
            self.fault(name, "is given more than once");
        }
        let value = values.first()?;
        read(value).map_err(|reason| self.errors.push(FieldError::parameter(name, &reason))).ok()
    }

    /// The page, once every filter was taken.
    ///
    /// # Errors
    /// With every fault of the query; a parameter that nobody took is one, so that a mistyped filter does not list
    /// everything.
    pub fn finish(mut self) -> Result<Page, Problem> {
        for (name, _) in std::mem::take(&mut self.filters) {
            self.fault(&name, "is not a parameter that is known here");
        }
        if self.errors.is_empty() { Ok(self.page) } else { Err(Problem::invalid(self.errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Page, Vec<String>> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        let page = ListQuery::read(pairs.collect()).finish();
        page.map_err(|problem| problem.errors.into_iter().filter_map(|error| error.parameter).collect())
    }

    #[test]
    fn a_page_is_named_in_three_ways() {
        let page = |limit, from| Ok(Page { limit, from });
        assert_eq!(read(""), page(10, From::Offset(0)));
        assert_eq!(read("limit=100&offset=5"), page(100, From::Offset(5)));
        assert_eq!(read("page=3&size=20"), page(20, From::Offset(40)));
        let last = Uuid::from_u128(7);
        assert_eq!(read(&format!("cursor={}", encode(last))), page(10, From::After(last)));
    }

    #[test]
    fn what_makes_no_page_names_its_parameter() {
        for (query, parameter) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=ten", "limit"),
            ("offset=-1", "offset"),
            ("page=0", "page"),
            ("page=1001&size=100", "page"),
            ("cursor=%", "cursor"),
            ("limit=1&limit=2", "limit"),
            ("limit=1&size=2", "size"),
            ("page=1&offset=2", "page"),
            ("colour=red", "colour"),
        ] {
            assert_eq!(read(query), Err(vec![parameter.to_owned()]), "{query}");
        }
    }
}
