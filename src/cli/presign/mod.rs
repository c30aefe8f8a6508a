//! `consign presign`: signs URLs and forms offline, as an app server would with its SDK.

mod demand;
mod form;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::json;

use super::admin_client::{self, ClientError};
use super::{CliError, Common, print_json};
use crate::auth::Secret;
use crate::auth::constraint::Constraint;
use crate::auth::presign::{Signer, Target, presign_url};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, RootKey};
use crate::name::{BucketName, ObjectKey};

/// Sign a URL or a form that lets its bearer do one thing for a while
#[derive(Debug, Args)]
#[command(
    after_help = "Signing is offline: no server is asked, and any bearer of the result may use \
    it until it expires.\n\nExamples:\n  \
    consign presign get uploads/cat.jpg --expires 10m\n  \
    consign presign put uploads/cat.jpg --content-type image/jpeg --curl\n  \
    consign presign put uploads/cat.jpg --header x-amz-meta-owner:ann --json\n  \
    consign presign put uploads/cat.jpg --max-size 10MiB --content-type-pattern 'image/*' --once\n  \
    consign presign create-multipart uploads/film.mp4 --max-size 5GiB --callback app\n  \
    consign presign post 'uploads/user/${filename}' --max-size 10MiB --html > upload.html"
)]
pub(super) struct PresignArgs {
    #[command(subcommand)]
    command: PresignCommand,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    by: By,
}

/// Who signs, for which server, for how long.
#[derive(Debug, Args)]
struct By {
    /// The server's address [default: the one that runs in the data folder, or `listen`]
    #[arg(long, value_name = "URL", env = "CONSIGN_ENDPOINT", global = true)]
    endpoint: Option<String>,
    /// The access key to sign with [default: the root key]
    #[arg(
        long,
        env = "CONSIGN_ACCESS_KEY",
        global = true,
        requires = "secret_key"
    )]
    access_key: Option<String>,
    /// Its secret
    #[arg(
        long,
        env = "CONSIGN_SECRET_KEY",
        hide_env_values = true,
        global = true
    )]
    secret_key: Option<String>,
    /// How long it may be used: 90s, 10m, 1h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", global = true, value_parser = time)]
    expires: Duration,
    /// Print a curl command
    #[arg(long, global = true, conflicts_with = "json")]
    curl: bool,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum PresignCommand {
    /// Sign a download
    Get(PlainArgs),
    /// Sign an upload of one object
    Put(PutArgs),
    /// Sign a deletion
    Delete(PlainArgs),
    /// Sign a look at an object's headers
    Head(PlainArgs),
    /// Sign the begin of an upload in parts: what is demanded holds for the whole
    CreateMultipart(PutArgs),
    /// Sign the upload of one part
    UploadPart(PartArgs),
    /// Sign the end of an upload in parts
    CompleteMultipart(CompleteArgs),
    /// Sign a browser's form, whose policy bounds what may be uploaded
    Post(form::FormArgs),
}

#[derive(Debug, Args)]
struct UrlArgs {
    /// The object
    #[arg(value_name = "BUCKET/KEY", value_parser = object)]
    object: (BucketName, ObjectKey),
    /// The content type that must be sent
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A header that must be sent
    #[arg(long, value_name = "NAME:VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// A query parameter to sign, such as response-content-disposition=attachment
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    query: Vec<(String, String)>,
}

/// A URL that takes no bytes.
#[derive(Debug, Args)]
struct PlainArgs {
    #[command(flatten)]
    url: UrlArgs,
    #[command(flatten)]
    when: demand::WhenArgs,
}

/// A URL by which an object comes.
#[derive(Debug, Args)]
struct PutArgs {
    #[command(flatten)]
    url: UrlArgs,
    #[command(flatten)]
    size: demand::SizeArgs,
    #[command(flatten)]
    demand: demand::DemandArgs,
}

/// Which upload in parts.
#[derive(Debug, Args)]
struct UploadArgs {
    /// What beginning the upload answered
    #[arg(long, value_name = "ID")]
    upload_id: String,
}

/// A URL by which a part comes.
#[derive(Debug, Args)]
struct PartArgs {
    #[command(flatten)]
    put: PutArgs,
    #[command(flatten)]
    upload: UploadArgs,
    /// Which part: 1 to 10000
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    part_number: u16,
}

/// A URL that makes parts an object.
#[derive(Debug, Args)]
struct CompleteArgs {
    #[command(flatten)]
    plain: PlainArgs,
    #[command(flatten)]
    upload: UploadArgs,
}

/// One URL to sign: its method, its object, what its query says beside the flags.
#[derive(Debug)]
struct Wanted<'a> {
    method: Method,
    url: &'a UrlArgs,
    query: demand::Pairs,
    heeds: &'static [Constraint],
}

impl PlainArgs {
    fn wanted(&self, method: Method) -> Wanted<'_> {
        Wanted {
            method,
            url: &self.url,
            query: self.when.pairs(),
            heeds: &[],
        }
    }
}

impl PutArgs {
    fn wanted(&self, method: Method, heeds: &'static [Constraint]) -> Wanted<'_> {
        let mut query = self.size.pairs();
        query.extend(self.demand.pairs());
        Wanted {
            method,
            url: &self.url,
            query,
            heeds,
        }
    }
}

impl Wanted<'_> {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What a signing command works with.
#[derive(Debug)]
struct Context<'a> {
    by: &'a By,
    endpoint: String,
    region: String,
    access_key: String,
    secret: Secret,
}

impl Context<'_> {
    fn signer(&self) -> Signer<'_> {
        Signer {
            access_key: &self.access_key,
            secret: &self.secret,
            region: &self.region,
        }
    }
}

pub(super) fn run(args: &PresignArgs) -> Result<ExitCode, CliError> {
    let config = args.common.load()?;
    let key = key(&config, &args.by)?;
    let endpoint = endpoint(&config, &args.by);
    let context = Context {
        by: &args.by,
        region: admin_client::region_at(&config, &endpoint),
        endpoint,
        access_key: key.access_key.clone(),
        secret: Secret::new(key.secret_key.as_str()),
    };
    let wanted = match &args.command {
        PresignCommand::Post(form) => {
            form::print(&context, form)?;
            return Ok(ExitCode::SUCCESS);
        }
        PresignCommand::Get(plain) => plain.wanted(Method::GET),
        PresignCommand::Put(put) => put.wanted(Method::PUT, Constraint::OF_OBJECT),
        PresignCommand::Delete(plain) => plain.wanted(Method::DELETE),
        PresignCommand::Head(plain) => plain.wanted(Method::HEAD),
        PresignCommand::CreateMultipart(put) => put
            .wanted(Method::POST, Constraint::OF_OBJECT)
            .with("uploads", ""),
        PresignCommand::UploadPart(part) => part
            .put
            .wanted(Method::PUT, Constraint::OF_PART)
            .with("partNumber", &part.part_number.to_string())
            .with("uploadId", &part.upload.upload_id),
        PresignCommand::CompleteMultipart(complete) => complete
            .plain
            .wanted(Method::POST)
            .with("uploadId", &complete.upload.upload_id),
    };
    print_url(&context, wanted)?;
    Ok(ExitCode::SUCCESS)
}

fn endpoint(config: &Config, by: &By) -> String {
    let announced = || admin_client::endpoint_of(&config.data_dir);
    let endpoint = by.endpoint.clone().or_else(announced);
    let endpoint =
        endpoint.unwrap_or_else(|| crate::server::endpoint_of(config.listen, config.tls.is_on()));
    endpoint.trim_end_matches('/').to_owned()
}

fn key(config: &Config, by: &By) -> Result<RootKey, CliError> {
    match (&by.access_key, &by.secret_key) {
        (Some(access_key), Some(secret_key)) => Ok(RootKey {
            access_key: access_key.clone(),
            secret_key: secret_key.clone(),
        }),
        _ => Ok(admin_client::root_key(config)?),
    }
}

fn print_url(context: &Context<'_>, wanted: Wanted<'_>) -> Result<(), CliError> {
    let Wanted {
        method,
        url,
        query,
        heeds,
    } = wanted;
    let headers = headers(url)?;
    let (bucket, key) = &url.object;
    let query = url.query.iter().cloned().chain(query).collect();
    let query = demand::checked(query, heeds)?;
    let query: Vec<_> = query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let target = Target {
        method: method.as_str(),
        endpoint: &context.endpoint,
        path: &format!("/{}/{}", bucket.as_str(), key.as_str()),
        query: &query,
    };
    let seconds = context.by.expires.as_secs();
    let now = SystemClock.now();
    let url = presign_url(&context.signer(), &target, &headers, seconds, now);
    let headers = shown(&headers);
    if context.by.json {
        let headers: serde_json::Map<_, _> = headers
            .into_iter()
            .map(|(name, value)| (name, json!(value)))
            .collect();
        return print_json(&json!({
            "method": method.as_str(),
            "url": url,
            "headers": headers,
            "expires_seconds": seconds,
        }));
    }
    if context.by.curl {
        println!("{}", curl(&method, &url, &headers));
    } else {
        println!("{url}");
    }
    Ok(())
}

/// The headers that must be sent.
fn headers(args: &UrlArgs) -> Result<HeaderMap, CliError> {
    let content_type = args
        .content_type
        .iter()
        .map(|value| ("content-type", value));
    let given = args
        .header
        .iter()
        .map(|(name, value)| (name.as_str(), value));
    let mut headers = HeaderMap::new();
    for (name, value) in content_type.chain(given) {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => headers.append(name, value),
            _ => return Err(ClientError::Sign(format!("{name}: {value} is no header")).into()),
        };
    }
    Ok(headers)
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

fn curl(method: &Method, url: &str, headers: &[(String, String)]) -> String {
    let how = match *method {
        Method::PUT => "-T FILE ",
        Method::POST if url.contains("uploadId=") => "--data-binary @PARTS.xml ",
        Method::POST => "-X POST ",
        Method::DELETE => "-X DELETE ",
        Method::HEAD => "-I ",
        _ => "",
    };
    let headers = headers
        .iter()
        .map(|(name, value)| format!("-H {} ", quote(&format!("{name}: {value}"))));
    format!(
        "curl -fsS {how}{}{}",
        headers.collect::<String>(),
        quote(url)
    )
}

/// `text` as one word of a POSIX shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn object(text: &str) -> Result<(BucketName, ObjectKey), String> {
    let (bucket, key) = text
        .split_once('/')
        .ok_or("must be BUCKET/KEY, such as uploads/cat.jpg")?;
    let bucket = BucketName::parse(bucket).map_err(|error| error.to_string())?;
    let key = ObjectKey::parse(key).map_err(|error| error.to_string())?;
    Ok((bucket, key))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("must be NAME:VALUE")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads `90s`, `10m`, `1h`, `7d`; a bare number is seconds.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text.strip_prefix(digits) {
        Some("" | "s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => 86_400,
        _ => return Err("must be a number and s, m, h or d, such as 10m".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_ignored| "must begin with a number".to_owned())?;
    let seconds = number.saturating_mul(unit);
    if (1..=604_800).contains(&seconds) {
        Ok(Duration::from_secs(seconds))
    } else {
        Err("must lie between 1 second and 7 days: that is what SigV4 knows".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("10m", 600),
            ("1h", 3600),
            ("7d", 604_800),
        ] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0s", "8d", "1w", "h", "-1s", "99999999999999999999d"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_shell_reads_a_quoted_word_as_it_was() {
        assert_eq!(quote("a'b $c"), "'a'\\''b $c'");
    }
}
