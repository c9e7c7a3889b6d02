//! How this tool reaches the admin services of nodes.

use anyhow::{Context, anyhow, bail};
use murder_location::{DescribedNode, MupdateClient, NodeState, Selection, service};
use murder_mailbox::MailboxName;
use murder_net::tls::TlsClient;
use murder_net::{Role, grpc};
use murder_proto::v1::ErrorDetail;
use murder_proto::v1::backend_admin_client::BackendAdminClient;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

/// The most bytes in one message of an answer; backends send far smaller ones.
const LARGEST_MESSAGE: usize = 16 << 20;

/// The backends of a murder, or one alone.
#[derive(Debug)]
pub struct Backends {
    tls: TlsClient,
    reach: Reach,
}

#[derive(Debug)]
enum Reach {
    One(String),
    Murder(MupdateClient),
}

/// One backend that takes operators' calls, or should; or a frontend, where both are meant.
#[derive(Debug, Clone)]
pub struct Backend {
    /// The node; empty when it is only known by its address.
    pub name: String,
    role: Role,
    address: String,
    state: NodeState,
    tls: TlsClient,
}

/// A connection to one.
pub type Client = BackendAdminClient<Channel>;

impl Backends {
    /// One, by its admin address.
    pub fn one(address: String, tls: TlsClient) -> Self {
        let reach = Reach::One(address);
        Self { tls, reach }
    }

    /// Those that the master knows.
    pub fn of_murder(client: MupdateClient, tls: TlsClient) -> Self {
        let reach = Reach::Murder(client);
        Self { tls, reach }
    }

    /// All of them, in the order of their names.
    ///
    /// # Errors
    /// When the master cannot be reached, or knows of none.
    pub async fn all(&self) -> anyhow::Result<Vec<Backend>> {
        let backends = self.of_roles(&[Role::Backend]).await?;
        if backends.is_empty() {
            bail!("the murder has no backends");
        }
        Ok(backends)
    }

    /// All nodes at which clients log in, frontends and backends, in the order of their names.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn with_frontends(&self) -> anyhow::Result<Vec<Backend>> {
        self.of_roles(&[Role::Frontend, Role::Backend]).await
    }

    async fn of_roles(&self, roles: &[Role]) -> anyhow::Result<Vec<Backend>> {
        let client = match &self.reach {
            Reach::One(address) => return Ok(vec![self.alone(address)]),
            Reach::Murder(client) => client.clone(),
        };
        let nodes = client.describe_nodes().await?.nodes.into_iter();
        let mut found: Vec<_> = nodes
            .filter_map(|DescribedNode { node, .. }| {
                let has = |role: &&Role| node.roles.iter().any(|has| has == role.as_str());
                let role = *roles.iter().find(has)?;
                Some(Backend {
                    role,
                    address: node.service(service::ADMIN).unwrap_or_default().to_owned(),
                    state: node.state,
                    name: node.name,
                    tls: self.tls.clone(),
                })
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The one that has a partition, `node!partition`, by its name.
    ///
    /// # Errors
    /// When there is none, or the master cannot be reached.
    pub async fn of_partition(&self, partition: &str) -> anyhow::Result<Backend> {
        if let Reach::One(address) = &self.reach {
            return Ok(self.alone(address));
        }
        self.owner(partition).await
    }

    async fn owner(&self, partition: &str) -> anyhow::Result<Backend> {
        let Reach::Murder(client) = &self.reach else {
            bail!("only a murder knows whose a partition is");
        };
        let murder = client.describe_nodes().await?;
        let record = murder.partitions.into_iter().find(|p| p.name == partition);
        let record =
            record.with_context(|| format!("the master knows no partition {partition}"))?;
        let mut all = self.all().await?.into_iter();
        all.find(|backend| backend.name == record.owner)
            .with_context(|| format!("the master knows no backend {}", record.owner))
    }

    /// The one that holds a mailbox.
    ///
    /// # Errors
    /// When there is no such mailbox, or the master cannot be reached.
    pub async fn of_mailbox(&self, name: &MailboxName) -> anyhow::Result<Backend> {
        self.with(name, false).await?.with_context(|| {
            format!(
                "there is no mailbox {name}; if it was deleted, `murder restore mailbox {name}` \
                 may bring it back"
            )
        })
    }

    /// The one where limits at `root` hold: that holds the mailbox, or the nearest one above it,
    /// or one below it.
    ///
    /// # Errors
    /// When there is none, or the master cannot be reached.
    pub async fn of_root(&self, root: &MailboxName) -> anyhow::Result<Backend> {
        self.with(root, true)
            .await?
            .with_context(|| format!("there is no mailbox at, above or below {root}"))
    }

    async fn with(&self, name: &MailboxName, or_near: bool) -> anyhow::Result<Option<Backend>> {
        let client = match &self.reach {
            Reach::One(address) => return Ok(Some(self.alone(address))),
            Reach::Murder(client) => client,
        };
        let mut partition = None;
        let mut at = Some(name.clone());
        while let Some(name) = at.filter(|_| partition.is_none()) {
            let mailbox = client.find(&name).await?.mailbox;
            partition = mailbox.map(|mailbox| mailbox.location.partition);
            at = name.parent().filter(|_| or_near);
        }
        if partition.is_none() && or_near {
            let prefix = format!("{name}/");
            let mut below = client
                .list(Selection {
                    prefix: &prefix,
                    ..Selection::default()
                })
                .await?;
            while let Some(some) = below.next().await?.filter(|_| partition.is_none()) {
                partition = some.into_iter().next().map(|m| m.location.partition);
            }
        }
        let Some(partition) = partition else {
            return Ok(None);
        };
        let owner = self.owner(&partition).await;
        owner
            .map(Some)
            .with_context(|| format!("{name} is in {partition}"))
    }

    fn alone(&self, address: &str) -> Backend {
        Backend {
            name: String::new(),
            role: Role::Backend,
            address: address.to_owned(),
            state: NodeState::Up,
            tls: self.tls.clone(),
        }
    }
}

impl Backend {
    /// Connects.
    ///
    /// # Errors
    /// Why that is not possible.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        let channel = self.channel().await?;
        Ok(Client::new(channel).max_decoding_message_size(LARGEST_MESSAGE))
    }

    /// Connects, for any of its services.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn channel(&self) -> anyhow::Result<Channel> {
        let Self {
            name,
            role,
            address,
            ..
        } = self;
        if self.state == NodeState::Down {
            bail!("{role} {name} is down");
        }
        if address.is_empty() {
            bail!("{role} {name} takes no operators' calls: it has no `[admin] listen`");
        }
        let expected = match &**name {
            "" => murder_net::tls::role_server_name(*role),
            name => murder_net::tls::server_name(name, *role),
        };
        grpc::connect(address, expected, &self.tls)
            .await
            .with_context(|| format!("{role} {} cannot be reached", self.called()))
    }

    /// What it is called in messages.
    pub fn called(&self) -> String {
        let Self { name, address, .. } = self;
        if name.is_empty() || address.is_empty() {
            return format!("{name}{address}");
        }
        format!("{name} ({address})")
    }

    /// An answer, or why there is none.
    ///
    /// # Errors
    /// The backend's words.
    pub fn answered<T>(&self, answer: Result<Response<T>, Status>) -> anyhow::Result<T> {
        answer
            .map(Response::into_inner)
            .map_err(|status| self.refusal(&status))
    }

    /// The next part of an answer; `None` at the end.
    ///
    /// # Errors
    /// The backend's words.
    pub async fn next<T>(&self, parts: &mut Streaming<T>) -> anyhow::Result<Option<T>> {
        let part = parts.message().await;
        part.map_err(|status| self.refusal(&status))
    }

    fn refusal(&self, status: &Status) -> anyhow::Error {
        match ErrorDetail::from_status(status) {
            Some(detail) => anyhow!(detail.message),
            None => anyhow!("{} {}: {}", self.role, self.called(), status.message()),
        }
    }
}

/// What was asked of several backends.
#[derive(Debug)]
pub struct Asked<T> {
    /// Their answers.
    pub answers: Vec<(Backend, T)>,
    /// Why others gave none.
    pub failures: Vec<String>,
}

impl<T> Asked<T> {
    /// Asks one after the other: they are few, and most have nothing to say.
    pub async fn all(
        backends: Vec<Backend>,
        mut ask: impl AsyncFnMut(&Backend, Client) -> anyhow::Result<T>,
    ) -> Self {
        let mut asked = Self {
            answers: Vec::new(),
            failures: Vec::new(),
        };
        for backend in backends {
            let answer = match backend.connect().await {
                Ok(client) => ask(&backend, client).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => asked.answers.push((backend, answer)),
                Err(error) => asked.failures.push(murder_node::describe(&error)),
            }
        }
        asked
    }

    /// Whether all have answered, as the end of a command that has shown what there is.
    ///
    /// # Errors
    /// Why some have not.
    pub fn complete(&self) -> anyhow::Result<()> {
        match &*self.failures {
            [] => Ok(()),
            failures => bail!("not everything is shown: {}", failures.join("; ")),
        }
    }
}
