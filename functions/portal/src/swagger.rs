//! The files of Swagger UI, embedded in the binary.
//!
//! The platform may be below a stage (`/dev`), which the function does not see. Therefore all URLs are
//! relative: the page loads `../openapi.json`, and the document names `.` as its server, which Swagger UI
//! resolves against the document's URL.

use std::error::Error;
use std::sync::Arc;

use utoipa_swagger_ui::Config;

/// A file of Swagger UI.
#[derive(Debug, Clone)]
pub struct Asset {
    /// The content.
    pub bytes: Vec<u8>,
    /// The media type.
    pub content_type: String,
}

/// Swagger UI, configured for the platform's document.
#[derive(Clone)]
pub struct SwaggerUi(Arc<Config<'static>>);

impl Default for SwaggerUi {
    fn default() -> Self {
        let config = Config::from("../openapi.json")
            .try_it_out_enabled(true)
            .persist_authorization(true)
            .display_request_duration(true)
            // The default sends the document's URL to a validation service on the internet.
            .validator_url("none");
        Self(Arc::new(config))
    }
}

impl SwaggerUi {
    /// Returns the file with this name.
    ///
    /// # Errors
    /// If the configuration cannot be inserted into the file.
    pub fn file(&self, name: &str) -> Result<Option<Asset>, Box<dyn Error>> {
        let file = utoipa_swagger_ui::serve(name, self.0.clone())?;
        Ok(file.map(|file| Asset { bytes: file.bytes.into_owned(), content_type: file.content_type }))
    }
}
