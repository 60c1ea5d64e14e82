// The certified oidc-provider with one client, one login form, and a control port for what tests have to change.
//
//   node op.mjs '{"port": 0, "client_id": "…", "client_secret": "…"}'
//
// Prints `issuer URL`, `control URL`, `ready`. On the control port, by POST with a JSON body:
//   /client   replaces members of the client's registration (redirect_uris, backchannel_logout_uri …)
//   /rotate   new signing keys; {"keep": true} leaves the old ones published
//   /stop     ends the process
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const options = JSON.parse(process.argv[2] ?? '{}');
const listen = (server, port) => new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(port, '127.0.0.1', () => resolve(server.address().port));
});

// One store for every provider that this process makes: what was granted outlives a change of keys or clients.
const kept = new Map();
class Store {
  constructor(model) {
    this.model = model;
  }

  async upsert(id, payload, seconds) {
    kept.set(`${this.model}:${id}`, { payload, until: seconds ? Date.now() + seconds * 1000 : Infinity });
  }

  async find(id) {
    const { payload, until } = kept.get(`${this.model}:${id}`) ?? {};
    return until > Date.now() ? payload : undefined;
  }

  async findBy(member, value) {
    for (const [key, { payload }] of kept) {
      if (key.startsWith(`${this.model}:`) && payload[member] === value) {
        return this.find(key.slice(this.model.length + 1));
      }
    }
    return undefined;
  }

  findByUid(uid) {
    return this.findBy('uid', uid);
  }

  findByUserCode(code) {
    return this.findBy('userCode', code);
  }

  async consume(id) {
    const payload = await this.find(id);
    if (payload) payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    kept.delete(`${this.model}:${id}`);
  }

  async revokeByGrantId(grant) {
    for (const [key, { payload }] of kept) {
      if (key.startsWith(`${this.model}:`) && payload.grantId === grant) kept.delete(key);
    }
  }
}

let handle;
const front = createServer((req, res) => handle(req, res));
const port = await listen(front, options.port ?? 0);
const issuer = `http://127.0.0.1:${port}`;

let generation = 0;
let keys = newKeys();
let client = {
  client_id: options.client_id ?? 'vestibule',
  client_secret: options.client_secret ?? 'a-secret-for-tests-only',
  redirect_uris: ['http://127.0.0.1/not-registered-yet'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  id_token_signed_response_alg: options.alg ?? 'RS256',
  ...options.client,
};
build();

function newKeys() {
  generation += 1;
  const jwk = (pair, kid) => ({ ...pair.privateKey.export({ format: 'jwk' }), use: 'sig', kid: `${kid}-${generation}` });
  return [
    jwk(generateKeyPairSync('rsa', { modulusLength: 2048 }), 'rsa'),
    jwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'ec'),
    jwk(generateKeyPairSync('ed25519'), 'ed'),
  ];
}

// A provider cannot change its keys or clients, so a new one takes over.
function build() {
  const provider = new Provider(issuer, {
    adapter: Store,
    clients: [client],
    jwks: { keys },
    claims: {
      openid: ['sub', 'sid'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username', 'groups'],
    },
    // Off, the ID token itself carries the claims of the granted scopes.
    conformIdTokenClaims: options.conform ?? true,
    cookies: { keys: ['a-cookie-key-for-tests-only'] },
    ttl: {
      AccessToken: options.access_token_ttl ?? 300,
      AuthorizationCode: 60,
      IdToken: 300,
      Interaction: 600,
      RefreshToken: 86400,
      Session: 86400,
      Grant: 86400,
    },
    pkce: { required: () => true },
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true },
      userinfo: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: async (ctx, form) => {
          ctx.body = page(`${form}<button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>`);
        },
      },
    },
    // Its guard against loopback addresses would keep logout tokens from gateways that run on this machine.
    fetch: (url, { dispatcher, ...rest }) => fetch(url, rest),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    // Signing in is consent enough.
    loadExistingGrant: async (ctx) => {
      const { client, session, params } = ctx.oidc;
      const known = session.grantIdFor(client.clientId);
      const grant = (known && await ctx.oidc.provider.Grant.find(known))
        || new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope(params.scope ?? 'openid');
      await grant.save();
      return grant;
    },
    findAccount: async (ctx, id) => ({
      accountId: id,
      claims: async () => ({
        sub: id,
        email: `${id}@example.test`,
        email_verified: true,
        name: `${id[0].toUpperCase()}${id.slice(1)} Example`,
        preferred_username: id,
        groups: ['staff', 'dev'],
      }),
    }),
  });
  provider.on('server_error', (ctx, error) => console.error('server_error', error));
  for (const event of ['authorization.error', 'grant.error', 'revocation.error', 'end_session.error', 'backchannel.error']) {
    provider.on(event, (ctx, error) => console.error(event, error.message, error.error_description ?? '', error.error_detail ?? ''));
  }
  const protocol = provider.callback();
  handle = (req, res) => {
    const form = /^\/interaction\/[\w-]+$/.test(req.url);
    (form ? interact(provider, req, res) : Promise.resolve(protocol(req, res))).catch((error) => {
      console.error('interaction', error);
      if (!res.headersSent) res.writeHead(400, { 'content-type': 'text/html' });
      res.end(page('<p>That sign-in has ended.</p>'));
    });
  };
}

async function interact(provider, req, res) {
  if (req.method === 'POST') {
    const login = new URLSearchParams(await body(req)).get('login');
    await provider.interactionFinished(req, res, { login: { accountId: login } });
    return;
  }
  const { params } = await provider.interactionDetails(req, res);
  const hint = String(params.login_hint ?? '').replace(/[^\w@.-]/g, '');
  res.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  res.end(page(`<form method="post" action="${req.url}">
    <label>User <input name="login" value="${hint}" required autofocus></label>
    <label>Password <input name="password" type="password"></label>
    <button type="submit">Sign in</button></form>`));
}

function page(content) {
  return `<!doctype html><html lang="en"><title>Test provider</title><main>${content}</main></html>`;
}

async function body(req) {
  let text = '';
  for await (const part of req) {
    text += part;
    if (text.length > 1e5) throw new Error('too long');
  }
  return text;
}

const control = createServer(async (req, res) => {
  const asked = JSON.parse(await body(req) || '{}');
  switch (req.method === 'POST' && req.url) {
    case '/client':
      client = { ...client, ...asked };
      break;
    case '/rotate':
      keys = asked.keep ? [...newKeys(), ...keys] : newKeys();
      break;
    case '/stop':
      res.end();
      process.exit(0);
      break;
    default:
      res.writeHead(404).end();
      return;
  }
  try {
    build();
    res.writeHead(204).end();
  } catch (error) {
    res.writeHead(400).end(`${error.message} ${error.error_description ?? ''}`);
  }
});
const controlPort = await listen(control, 0);
console.log(`issuer ${issuer}`);
console.log(`control http://127.0.0.1:${controlPort}`);
console.log('ready');
