//! Matches a path to a resource and a method.
//!
//! The path alone selects the resource, and the most specific one: in each segment a literal takes precedence over
//! `{param}`, and `{param}` over `{proxy+}`. The method must be one of that resource, by its name or as `ANY`.

use std::collections::BTreeMap;

use super::encoding::decode_segment;
use crate::deployment::Route;

/// The resources of an API.
#[derive(Debug, Default)]
pub(super) struct Resources(Vec<Resource>);

/// A resource of the API: a path with its methods.
#[derive(Debug)]
pub(super) struct Resource {
    /// As in the template, such as `/api/items/{id}`.
    pub(super) path: String,
    /// A stable id, derived from the order in the template.
    pub(super) id: String,
    segments: Vec<Segment>,
    methods: BTreeMap<String, Route>,
}

/// A segment of a resource's path, in the order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Parameter(String),
    Rest(String),
}

/// A matched resource with its path parameters.
#[derive(Debug)]
pub(super) struct Match<'a> {
    /// The resource.
    pub(super) resource: &'a Resource,
    /// Decoded path parameters.
    pub(super) parameters: BTreeMap<String, String>,
}

/// The reason why no resource matches a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoMatch {
    /// No resource has this path.
    Unknown,
    /// The path is malformed.
    Malformed,
}

impl Resources {
    pub(super) fn new(routes: &[Route]) -> Self {
        let mut resources: BTreeMap<&str, Resource> = BTreeMap::new();
        for route in routes {
            let index = resources.len();
            let resource = resources.entry(&route.path).or_insert_with(|| Resource {
                path: route.path.clone(),
                id: format!("r{index:05}"),
                segments: split(route.path.trim_start_matches('/')).map(Segment::new).collect(),
                methods: BTreeMap::new(),
            });
            resource.methods.insert(route.method.to_ascii_uppercase(), route.clone());
        }
        Self(resources.into_values().collect())
    }

    /// Matches a percent-encoded path. One trailing slash is ignored here, and stays in the event.
    ///
    /// # Errors
    /// When no resource matches, or the path is malformed: an invalid percent-encoding, or a dot segment, which a
    /// function could resolve to another path.
    pub(super) fn find(&self, path: &str) -> Result<Match<'_>, NoMatch> {
        let path = path.strip_prefix('/').ok_or(NoMatch::Unknown)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut decoded = Vec::new();
        for segment in split(path) {
            let segment = decode_segment(segment).ok_or(NoMatch::Malformed)?;
            if matches!(segment.as_str(), "." | "..") {
                return Err(NoMatch::Malformed);
            }
            decoded.push(segment);
        }
        let raw: Vec<&str> = split(path).collect();
        self.0
            .iter()
            .filter_map(|resource| Some((resource, resource.parameters(&raw, &decoded)?)))
            .min_by(|(a, _), (b, _)| a.rank().cmp(b.rank()))
            .map(|(resource, parameters)| Match { resource, parameters })
            .ok_or(NoMatch::Unknown)
    }
}

impl Resource {
    /// The method of this name, or else `ANY`.
    pub(super) fn method(&self, name: &str) -> Option<&Route> {
        self.exact_method(name).or_else(|| self.exact_method("ANY"))
    }

    /// The method of exactly this name.
    pub(super) fn exact_method(&self, name: &str) -> Option<&Route> {
        self.methods.get(name)
    }

    /// The rank by kinds of segments: two resources that match the same path have equal literals.
    fn rank(&self) -> impl Iterator<Item = u8> {
        self.segments.iter().map(|segment| match segment {
            Segment::Literal(_) => 0,
            Segment::Parameter(_) => 1,
            Segment::Rest(_) => 2,
        })
    }

    /// The parameters of a path if it matches. Literals are compared in encoded form: an encoded letter is another path,
    /// for the policy as well.
    fn parameters(&self, raw: &[&str], decoded: &[String]) -> Option<BTreeMap<String, String>> {
        let mut parameters = BTreeMap::new();
        let mut at = 0;
        for segment in &self.segments {
            let raw = raw.get(at).filter(|raw| !raw.is_empty())?;
            match segment {
                Segment::Literal(literal) if literal == raw => at += 1,
                Segment::Literal(_) => return None,
                Segment::Parameter(name) => {
                    parameters.insert(name.clone(), decoded.get(at)?.clone());
                    at += 1;
                }
                Segment::Rest(name) => {
                    parameters.insert(name.clone(), decoded.get(at..)?.join("/"));
                    return Some(parameters);
                }
            }
        }
        (at == raw.len()).then_some(parameters)
    }
}

impl Segment {
    fn new(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            None => Self::Literal(text.to_owned()),
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Self::Rest(name.to_owned()),
                None => Self::Parameter(name.to_owned()),
            },
        }
    }
}

/// The segments of a path without its leading slash; the root has none.
fn split(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').take(if path.is_empty() { 0 } else { usize::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources() -> Resources {
        let routes = [
            ("GET", "/"),
            ("GET", "/items"),
            ("ANY", "/items"),
            ("GET", "/items/{id}"),
            ("GET", "/items/top"),
            ("PUT", "/items/{id}/stock"),
            ("GET", "/items/top/{proxy+}"),
            ("GET", "/swagger/{proxy+}"),
        ];
        let route = |(method, path): (&str, &str)| Route {
            method: method.into(),
            path: path.into(),
            function: format!("{method} {path}"),
            authorized: false,
        };
        Resources::new(&routes.map(route))
    }

    #[test]
    fn a_path_matches_the_most_specific_resource() {
        let resources = resources();
        for (path, expected, parameter) in [
            ("/", "/", None),
            ("/items", "/items", None),
            ("/items/", "/items", None),
            ("/items/top", "/items/top", None),
            ("/items/t%6Fp", "/items/{id}", Some(("id", "top"))),
            ("/items/7", "/items/{id}", Some(("id", "7"))),
            ("/items/a%2Fb", "/items/{id}", Some(("id", "a/b"))),
            ("/items/7/stock", "/items/{id}/stock", Some(("id", "7"))),
            ("/items/top/stock", "/items/top/{proxy+}", Some(("proxy", "stock"))),
            ("/swagger/css/a%20b.css", "/swagger/{proxy+}", Some(("proxy", "css/a b.css"))),
        ] {
            let found = resources.find(path).unwrap_or_else(|error| panic!("{path}: {error:?}"));
            assert_eq!(found.resource.path, expected, "{path}");
            let expected = parameter.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(found.parameters.into_iter().next(), expected, "{path}");
        }
    }

    #[test]
    fn an_unknown_or_malformed_path_matches_nothing() {
        let resources = resources();
        for (path, expected) in [
            ("/item", NoMatch::Unknown),
            ("/Items", NoMatch::Unknown),
            ("//items", NoMatch::Unknown),
            ("/items//", NoMatch::Unknown),
            ("/items/7/stock/more", NoMatch::Unknown),
            ("/swagger", NoMatch::Unknown),
            ("/swagger/", NoMatch::Unknown),
            ("*", NoMatch::Unknown),
            ("", NoMatch::Unknown),
            ("/items/%zz", NoMatch::Malformed),
            ("/items/%", NoMatch::Malformed),
            ("/items/..", NoMatch::Malformed),
            ("/swagger/%2e%2E/items", NoMatch::Malformed),
        ] {
            assert_eq!(
                resources.find(path).map(|found| &found.resource.path).unwrap_err(),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn an_exact_method_takes_precedence_over_any() {
        let resources = resources();
        let items = resources.find("/items").unwrap().resource;
        assert_eq!(items.method("GET").unwrap().function, "GET /items");
        assert_eq!(items.method("HEAD").unwrap().function, "ANY /items");
        assert_eq!(resources.find("/items/7").unwrap().resource.method("HEAD"), None);
    }
}
