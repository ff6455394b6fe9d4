// Reads {key, secret, identity, name, ttl, grant, metadata, attributes} from the first argument and prints the token.
import { AccessToken } from "livekit-server-sdk";

const { key, secret, grant, ...options } = JSON.parse(process.argv[2]);
const token = new AccessToken(key, secret, options);
token.addGrant(grant);
console.log(await token.toJwt());
