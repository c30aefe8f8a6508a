//! Another region, service or day.

use std::borrow::Cow;

use super::super::super::sigv4::Scope;
use super::draft::Draft;
use super::{Kind, Scene, Trial};
use crate::clock::Timestamp;

const REGIONS: &[&str] = &[
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-west-2",
    "eu-central-1",
    "eu-north-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "ap-south-1",
    "sa-east-1",
    "ca-central-1",
    "auto",
    "default",
    "local",
    "garage",
    "aws-global",
    "",
];
const SERVICES: &[&str] = &[
    "s3",
    "s3express",
    "sts",
    "execute-api",
    "es",
    "iam",
    "S3",
    "",
];

impl Scene<'_> {
    pub(super) fn scopes(&self, trial: &mut Trial<'_>) {
        let given = &self.base.scope;
        let ours = self.known.settings.region.as_str();
        for region in REGIONS.iter().chain(&[ours]) {
            let scope = Scope {
                region: Cow::Owned((*region).to_owned()),
                ..given.clone()
            };
            self.scope(trial, Kind::Region, scope, (&given.region, region));
        }
        for service in SERVICES {
            let scope = Scope {
                service: Cow::Borrowed(service),
                ..given.clone()
            };
            self.scope(trial, Kind::Service, scope, (&given.service, service));
        }
        let day = Timestamp::parse_amz_date(&self.base.amz_date).map(Timestamp::scope_day);
        if let Ok(day) = day {
            let scope = Scope {
                day: Cow::Owned(day.clone()),
                ..given.clone()
            };
            self.scope(trial, Kind::Day, scope, (&given.day, &day));
        }
    }

    fn scope(
        &self,
        trial: &mut Trial<'_>,
        kind: Kind,
        scope: Scope<'static>,
        (says, signed): (&str, &str),
    ) {
        let draft = Draft {
            scope,
            ..self.base.clone()
        };
        let word = match kind {
            Kind::Region => "region",
            Kind::Service => "service",
            _ => "day",
        };
        trial.attempt(kind, &draft, || {
            (
                format!("It was signed for the {word} \"{signed}\", while its credential says \"{says}\"."),
                format!("Sign with the {word} that the credential names."),
            )
        });
    }
}
