// An OpenID provider that others wrote (oidc-provider), with its own pages: every name may log in, with any password. The words after the
// first dot of a name are its groups: `olga.operators` is in the group `operators`.
//
//   node issuer.mjs FOLDER-OF-MODULES     prints the issuer's URL
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const { Provider } = await import(pathToFileURL(`${process.argv[2]}/oidc-provider/lib/index.js`));
const key = (type, options, kid, alg) =>
  ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' });
const client = { redirect_uris: ['https://localhost/login/callback'] };

const server = createServer().listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      // The secret has what must be encoded in HTTP Basic.
      { ...client, client_id: 'countersign', client_secret: 'a:secret/with%signs' },
      { ...client, client_id: 'posting', client_secret: 'secret', token_endpoint_auth_method: 'client_secret_post' },
      { ...client, client_id: 'public', token_endpoint_auth_method: 'none', id_token_signed_response_alg: 'ES256' },
    ],
    jwks: { keys: [key('rsa', { modulusLength: 2048 }, 'r', 'RS256'), key('ec', { namedCurve: 'P-256' }, 'e', 'ES256')] },
    pkce: { required: () => true },
    claims: { openid: ['sub'], groups: ['groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['of a test'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, groups: id.split('.').slice(1) }) }),
  });
  // The port of the server under test is any that is free.
  provider.Client.prototype.redirectUriAllowed = (uri) => /^https:\/\/localhost:\d+\/login\/callback$/.test(uri);
  server.on('request', provider.callback());
  console.log(issuer);
  // It ends with whoever started it.
  process.stdin.on('end', () => process.exit()).resume();
});
