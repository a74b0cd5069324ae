/** The least that a worker can do: it says that it runs. */
import { agentPort } from '#platform';

agentPort().post('hello');
