//! Lists: `limit` with `offset`, `page` with `size` as older clients send them, or `cursor`.

use std::fmt::Display;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use erp_aws::{Page, PageRequest, PageStart};
use erp_domain::ValidationError;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::reply::envelope;
use crate::{FieldError, Problem, Reply};

/// Rows of a page by default.
pub const DEFAULT_LIMIT: usize = 10;
/// Maximum rows of a page.
pub const MAX_LIMIT: usize = 100;
/// Maximum rows to skip; `cursor` goes deeper without reading what it skips.
pub const MAX_OFFSET: usize = 10_000;
/// Bytes of the digest that binds a cursor to its list.
const SCOPE_BYTES: usize = 8;

/// The paging parameters of a list.
#[derive(Debug, Default, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Rows of the page.
    #[param(default = 10, minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// Rows to skip.
    #[param(default = 0, minimum = 0, maximum = 10000)]
    offset: Option<usize>,
    /// With `size`, an alternative to `offset`: the first page is 1.
    #[param(minimum = 1, maximum = 10000)]
    page: Option<usize>,
    /// Alternative name of `limit`.
    #[param(minimum = 1, maximum = 100)]
    size: Option<usize>,
    /// The `next_cursor` of the previous page of the same list with the same filters.
    #[param(value_type = Option<String>, min_length = 32, max_length = 32, pattern = "^[A-Za-z0-9_-]{32}$")]
    cursor: Option<Uuid>,
}

/// The query string of a list: filters are taken out one by one, then [`ListQuery::finish`] checks the rest.
#[derive(Debug)]
pub struct ListQuery {
    scope: [u8; SCOPE_BYTES],
    params: PageParams,
    filters: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

/// A valid request for a page of one list with its filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPage {
    /// The rows to read.
    pub request: PageRequest,
    scope: [u8; SCOPE_BYTES],
}

/// Metadata of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Meta {
    /// Maximum rows of the page.
    pub limit: usize,
    /// Rows skipped; 0 with a cursor.
    pub offset: usize,
    /// Rows of this page.
    pub count: usize,
    /// The `cursor` of the next page; null on the last page.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

impl ListPage {
    /// Creates the response with a page of rows.
    pub fn reply<T: Serialize>(&self, message: &str, page: &Page<T>) -> Result<Reply, Problem> {
        let offset = match self.request.start {
            PageStart::Offset(offset) => offset,
            PageStart::After(_) => 0,
        };
        let next_cursor = page.next.map(|last| encode(last, &self.scope));
        let meta = Meta { limit: self.request.limit, offset, count: page.rows.len(), next_cursor };
        Ok(envelope(200, message, &page.rows, Some(meta))?.into())
    }
}

fn encode(last: Uuid, scope: &[u8; SCOPE_BYTES]) -> String {
    URL_SAFE_NO_PAD.encode([last.as_bytes().as_slice(), scope].concat())
}

fn decode(cursor: &str, scope: &[u8; SCOPE_BYTES]) -> Result<Uuid, ValidationError> {
    let invalid = || ValidationError::new("is not a cursor of this list with these filters");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
    let (last, found) = bytes.split_at_checked(16).ok_or_else(invalid)?;
    if found != scope {
        return Err(invalid());
    }
    Uuid::from_slice(last).map_err(|_| invalid())
}

/// Digests the path and the filters of a list, paging parameters left out.
fn scope_of(path: &str, pairs: &[(String, String)]) -> [u8; SCOPE_BYTES] {
    let is_paging = |name: &str| ["limit", "offset", "page", "size", "cursor"].contains(&name);
    let mut filters: Vec<_> = pairs.iter().filter(|(name, _)| !is_paging(name)).collect();
    filters.sort_unstable();
    let mut digest = Sha256::new();
    digest.update(path.to_ascii_lowercase());
    for (name, value) in filters {
        digest.update(format!("\n{}:{name}={value}", name.len()));
    }
    let digest: [u8; 32] = digest.finalize().into();
    std::array::from_fn(|index| digest[index])
}

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::invalid(vec![FieldError::parameter("query", "cannot be decoded")]))?;
        Ok(Self::parse(parts.uri.path(), pairs))
    }
}

impl ListQuery {
    fn parse(path: &str, pairs: Vec<(String, String)>) -> Self {
        let scope = scope_of(path, &pairs);
        let mut query = Self { scope, params: PageParams::default(), filters: pairs, errors: Vec::new() };
        query.params = PageParams {
            limit: query.number("limit", 1, MAX_LIMIT),
            offset: query.number("offset", 0, MAX_OFFSET),
            page: query.number("page", 1, MAX_OFFSET),
            size: query.number("size", 1, MAX_LIMIT),
            cursor: query.filter("cursor", |text| decode(text, &scope)),
        };
        query
    }

    /// Combines the paging parameters.
    fn page_request(&mut self) -> PageRequest {
        let PageParams { limit, offset, page, size, cursor } = self.params;
        if limit.is_some() && size.is_some() {
            self.error("size", "cannot be combined with limit");
        }
        let starts = [offset.is_some(), page.is_some(), cursor.is_some()];
        if starts.into_iter().filter(|given| *given).count() > 1 {
            let name = if cursor.is_some() { "cursor" } else { "page" };
            self.error(name, "cannot be combined with another start");
        }
        let limit = limit.or(size).unwrap_or(DEFAULT_LIMIT);
        let skipped = offset.or_else(|| page.map(|page| (page - 1).saturating_mul(limit))).unwrap_or(0);
        if skipped > MAX_OFFSET {
            self.error("page", format!("starts after row {MAX_OFFSET}; use cursor"));
        }
        PageRequest { limit, start: cursor.map_or(PageStart::Offset(skipped), PageStart::After) }
    }

    fn error(&mut self, name: &str, reason: impl Display) {
        self.errors.push(FieldError::parameter(name, reason));
    }

    fn number(&mut self, name: &str, min: usize, max: usize) -> Option<usize> {
        self.filter(name, |text| {
            let number = text.parse().ok().filter(|number| (min..=max).contains(number));
            number.ok_or_else(|| ValidationError::new(format!("must be a whole number from {min} to {max}")))
        })
    }

    /// Takes a filter out of the query.
    pub fn filter<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, ValidationError>,
    ) -> Option<T> {
        let (values, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.filters).into_iter().partition(|(key, _)| key == name);
        self.filters = rest;
        if values.len() > 1 {
            self.error(name, "is given more than once");
        }
        let (_, value) = values.first()?;
        parse(value).map_err(|reason| self.error(name, reason)).ok()
    }

    /// Returns the page once every filter was taken out, or all errors of the query. An unknown parameter is an error,
    /// so that a misspelled filter does not list everything.
    pub fn finish(mut self) -> Result<ListPage, Problem> {
        let request = self.page_request();
        for (name, _) in std::mem::take(&mut self.filters) {
            let shown: String = name.chars().take(100).collect();
            self.error(&shown, "is not a known parameter");
        }
        if self.errors.is_empty() {
            Ok(ListPage { request, scope: self.scope })
        } else {
            Err(Problem::invalid(self.errors))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<PageRequest, Vec<String>> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        let mut query = ListQuery::parse("/api/items", pairs.collect());
        query.filter("status", |text| Ok(text.to_owned()));
        let page = query.finish().map(|page| page.request);
        page.map_err(|problem| problem.errors.into_iter().filter_map(|error| error.parameter).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_page_is_requested_in_three_ways() {
        let page = |limit, start| Ok(PageRequest { limit, start });
        assert_eq!(parse(""), page(10, PageStart::Offset(0)));
        assert_eq!(parse("limit=100&offset=5"), page(100, PageStart::Offset(5)));
        assert_eq!(parse("page=3&size=20"), page(20, PageStart::Offset(40)));
        let last = Uuid::from_u128(7);
        let cursor = encode(last, &scope_of("/api/items", &[]));
        assert_eq!(parse(&format!("cursor={cursor}")), page(10, PageStart::After(last)));
    }

    #[test]
    fn a_cursor_belongs_to_its_list_and_filters() {
        let last = Uuid::from_u128(7);
        let draft = scope_of("/api/items", &pairs(&[("status", "draft"), ("limit", "5")]));
        let cursor = encode(last, &draft);
        assert!(parse(&format!("cursor={cursor}&status=draft&limit=20")).is_ok());
        for query in [format!("cursor={cursor}"), format!("cursor={cursor}&status=paid")] {
            assert_eq!(parse(&query), Err(vec!["cursor".to_owned()]), "{query}");
        }
        let other = encode(last, &scope_of("/api/customers", &pairs(&[("status", "draft")])));
        assert_eq!(parse(&format!("cursor={other}&status=draft")), Err(vec!["cursor".to_owned()]));
    }

    #[test]
    fn an_invalid_page_names_its_parameter() {
        for (query, parameter) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=ten", "limit"),
            ("offset=-1", "offset"),
            ("page=0", "page"),
            ("page=1001&size=100", "page"),
            ("cursor=%", "cursor"),
            ("cursor=AAAA", "cursor"),
            ("limit=1&limit=2", "limit"),
            ("limit=1&size=2", "size"),
            ("page=1&offset=2", "page"),
            ("colour=red", "colour"),
        ] {
            assert_eq!(parse(query), Err(vec![parameter.to_owned()]), "{query}");
        }
    }
}
