//! Swagger UI, out of this binary: it works without the internet.
//!
//! The platform may hang below a stage (`/dev`), which the function does not see. So every address here is relative:
//! the page asks for `../openapi.json`, and the document names `.` as its server, which Swagger UI resolves against
//! the place of the document.

use std::error::Error;
use std::sync::Arc;

use utoipa_swagger_ui::Config;

/// A file of Swagger UI.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its media type.
    pub content_type: String,
}

/// The files of Swagger UI, set up for our document.
#[derive(Clone)]
pub struct SwaggerUi(Arc<Config<'static>>);

impl Default for SwaggerUi {
    fn default() -> Self {
        let config = Config::from("../openapi.json")
            .try_it_out_enabled(true)
            .persist_authorization(true)
            .display_request_duration(true)
            // Else it asks a service on the internet whether the document is valid.
            .validator_url("none");
        Self(Arc::new(config))
    }
}

impl SwaggerUi {
    /// A file by its name, if there is one.
    ///
    /// # Errors
    /// When the set-up cannot be written into it.
    pub fn file(&self, name: &str) -> Result<Option<Asset>, Box<dyn Error>> {
        let file = utoipa_swagger_ui::serve(name, self.0.clone())?;
        Ok(file.map(|file| Asset { bytes: file.bytes.into_owned(), content_type: file.content_type }))
    }
}
